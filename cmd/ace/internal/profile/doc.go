// Package profile is the credential of a command: which cloud it works with, and as whom.
//
// A profile is one cloud as one person or one API key. What may be known of it without a secret is in ~/.ace/config.json; its session
// is in ~/.ace/auth.json, encrypted under a key that the system's keyring keeps where there is one, otherwise ACE_AUTH_KEY or a file
// ([Store]). A command asks [Profiles] for its credential:
//
//	--profile > --env > ACE_PROFILE > ACE_ENV > the active profile        which profile ([Profiles.Selected])
//	ACE_KEY > the three ACE_API_KEY_… > ACE_TOKEN > the profile's session  which credential ([Profiles.Login])
//
// The states of a profile's session:
//
//	logged out ──login──> logged in ──its end──> expired
//	     ^                 │   │  ^                │
//	     └────logout───────┘   └──┘ renewed        └─login
//
// It promises that a refresh token is used once, however many commands run at the same time: a session is renewed under a lock, and
// whoever has waited for the lock reads again first. Files are only ever replaced whole. A refusal by a cloud gets the hint that helps
// with the credential that was sent ([Login]).
//
// How a person logs in is left to the commands; what a credential may do is decided by the cloud.
package profile
