// Package keys is the key authority: the rules of API keys, for a server's own keys and for a cloud's.
//
// It issues, lists, verifies, rotates and revokes keys. It never stores a secret, only its hash and the public key derived
// from it. The life of a key:
//
//	Mint, Create ────────────────────────────────────► active ◄──────────────┐
//	Exchange ──► unconfirmed ──first use──────────────►  │  │                │ Enable
//	                │ 10 minutes                         │  └──Disable──► disabled
//	                ▼                                    ├──Rotate──► active, the old secret valid until its grace ends
//	              lapsed                                 ├──the last use──► used_up
//	                                                     ├──time──► expired ──Revive──► active, with a new secret
//	                                                     └──Revoke, a leak, a signed statement──► revoked, for good
//
// A personal key dies with the key it was created with, and with its subject's access; an organization's key outlives both.
// When a restored backup is accepted, keys that may have been revoked since stay in doubt until an admin decides.
//
// Each change is one conditional UPDATE in one transaction with its audit entry, and takes the next number of a common version.
// When the call returns, the table in memory has the change, so a revocation is exact: the very next request is refused. Several
// processes on one PostgreSQL notify each other; a SQLite file belongs to one process.
//
// The packages below it: keys/record (a key as stored), keys/statements (what a cloud says about a key), keys/timeline (change
// numbers and time) and keys/table (verification in memory).
package keys
