// Package connector connects a server to the cloud and tells the person at the terminal how it goes.
//
// The connect flow itself is [github.com/acebridge/ace/bridge/connect]. A [Connector] gives it the terminal: notes, and the line that
// says what is waited for. `ace connect` runs the flow as its flags say. `ace login` ends with [Connector.Local]:
//
//	the server on this machine ──┬─ does not answer ────> told
//	                             ├─ no trust, or broken > told, with the fix
//	                             ├─ connected already ──> told
//	                             └─ trusts the cloud ───> connected
//
// Local never fails: a login is good whether or not a server was connected after it.
package connector
