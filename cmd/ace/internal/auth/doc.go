// Package auth has the commands about the session: `ace auth`, `ace logout`.
//
// They show who you are (me, address), which credential is used and what is ignored (status), print a token (token), choose a
// profile (list, switch), and end the session:
//
//	logged in ──logout──> ended at the cloud, and removed here
//	                        │
//	                        ├─ an API key ───────> removed here only; it stays valid
//	                        └─ no cloud answers ─> removed here; it ends by itself
//
// `auth list` and `auth switch` need no network, and `auth status` waits for the cloud for two seconds at most: if no
// answer comes, it shows what is stored.
//
// How one logs in is [github.com/acebridge/ace/cmd/ace/internal/login], which gives `ace auth` its logins; sessions are stored by
// [github.com/acebridge/ace/cmd/ace/internal/profile].
package auth
