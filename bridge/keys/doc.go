// Package keys is the key authority: the rules of API keys, for a server's own keys and for a cloud's.
//
// It issues, lists, verifies, rotates and revokes keys. It never stores a secret, only its hash and the public key that is
// derived from it. The life of a key:
//
//	Mint, Create ────────────────────────────────────► active ◄──────────────┐
//	Exchange ──► unconfirmed ──first use──────────────►  │  │                │ Enable
//	                │ 10 minutes                         │  └──Disable──► disabled
//	                ▼                                    ├──Rotate──► active, the old secret valid until its grace ends
//	              lapsed                                 ├──the last use──► used_up
//	                                                     ├──time──► expired ──Revive──► active, with a new secret
//	                                                     └──Revoke, a leak, a signed statement──► revoked, for ever
//
// A personal key ends with the key that it was made with and with the access of its subject; an organization's key outlives
// both. After a restored backup was accepted, keys that may have been revoked are in doubt until an admin decides.
//
// Every change is one conditional UPDATE in one transaction together with its audit entry, and takes the next number of a
// common version. The table in memory has it after the commit, in the same call, so that revoking is exact: the next request is
// refused. Several processes on one PostgreSQL tell each other; a SQLite file belongs to one process.
//
// Below it lie keys/record (a key as it is stored), keys/statements (what a cloud says about a key), keys/timeline (change numbers
// and time) and keys/table (verification in memory).
package keys
