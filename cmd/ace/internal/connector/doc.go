// Package connector connects servers to the cloud and reports on the terminal.
//
// The connect flow itself is [github.com/acebridge/ace/bridge/connect]. A [Connector] gives it the terminal: notes, and the line that
// says what is waited for. `ace connect` runs the flow as its flags say. `ace login` ends with [Connector.Local]:
//
//	the server on this machine ──┬─ does not answer ────> a note
//	                             ├─ no trust, or broken > a note with the fix
//	                             ├─ connected already ──> a note
//	                             └─ trusts the cloud ───> connected
//
// Local never fails: a login is good whether or not a server was connected after it.
package connector
