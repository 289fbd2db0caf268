// Package profile finds a command's credential: for which cloud, and whose.
//
// A profile is one cloud as one person or one API key. What may be known without a secret is in ~/.ace/config.json. The session is in
// ~/.ace/auth.json, encrypted with a key from the system's keyring; if there is none, from ACE_AUTH_KEY or a file ([Store]).
// A command asks [Profiles] for its credential:
//
//	--profile > --env > ACE_PROFILE > ACE_ENV > the active profile         which profile ([Profiles.Selected])
//	ACE_KEY > the three ACE_API_KEY_… > ACE_TOKEN > the profile's session  which credential ([Profiles.Login])
//
// The states of a profile's session:
//
//	logged out ──login──> logged in ──its end──> expired
//	     ^                 │   │  ^                │
//	     └────logout───────┘   └──┘ renewed        └─login──> logged in
//
// It promises:
//   - A refresh token is used once, however many commands run at the same time: a session is renewed under a lock, and a command
//     that waited for the lock reads the session again first.
//   - Files are only ever replaced whole.
//   - If a cloud refuses a credential, the hint fits the credential that was sent ([Login]).
//
// How a person logs in is up to the commands; what a credential may do is decided by the cloud.
package profile
