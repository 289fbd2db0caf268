// Package table verifies keys in memory: it holds every key of a database, and keeps up with it.
//
// Verifying reads no database, and a key that was never issued costs nobody a query. A key that was verified before, lives and
// has nothing special about it takes the hot way ([Table.Verify] compares two hashes); all else takes the careful way, which
// knows why something is refused:
//
//	credential ──► hot: hash and fingerprint known? ──yes──► identity
//	                 │ no
//	                 ▼
//	               find by ID ──► secret or signature ──► state, address ──► ancestors narrow it ──► identity, learned
//	                 │ unknown                              │ unconfirmed
//	                 ▼                                      ▼
//	               made just now? catch up once           Config.Confirm
//
// The table is loaded once and then follows: a change of this process comes in with [Table.Take] after its commit; those of
// others come with PostgreSQL's notifications, and a poll finds what they miss. How far it trusts itself:
//
//	fresh ──no comparison with the database for 10 s──► stale (refuses everything) ──a comparison succeeds──► fresh
//	fresh ──the database is behind the table, or was restored──► all keys are loaded again ──► fresh
//
// [Reader] answers what others ask: which keys changed, which secrets are alive, what limits a key. The table writes nothing but
// the time; what a first use or a counted use changes is written by bridge/keys.
package table
