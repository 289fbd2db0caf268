// Package login has the commands that log in to the cloud.
//
// The ways, each with what proves who somebody is:
//
//	ace login               a device code that is confirmed in any browser (RFC 8628)
//	ace login --browser     this machine's browser, which is sent back to a local port (RFC 8252)
//	ace login --email       a password, and a code if the account has a second factor
//	ace login pat           a personal access token
//	ace login api-key       an API key of the cloud; ace auth login-api-key too
//	ace auth login-token    a developer token from the dashboard
//
// All of them end the same way:
//
//	credential ──> the cloud says whose it is ──> stored as the profile's one session ──> the old session is ended, if ace opened it
//	                         │                                    │
//	                         └─ refused: nothing is stored        └─ a browser or a password: the server on this machine
//	                                                                 is connected, if it trusts the cloud
//
// It promises:
//   - `ace login` replaces a session that still works only with --force. `ace auth login-api-key` and login-token always replace it.
//   - A pasted credential of the wrong kind is refused before any cloud sees it.
//   - No login is started unless somebody can confirm it. In a script, `ace login` only says whether the cloud accepts the session
//     there is.
//
// Sessions are stored by [github.com/acebridge/ace/cmd/ace/internal/profile].
package login
