// Package table verifies keys in memory: it holds every key of a database and follows its changes.
//
// Verifying does not touch the database, and a key that was never issued costs no query. A key that was verified before, is alive
// and has no special conditions takes the hot path: [Table.Verify] compares two hashes. All else takes the careful path, which
// knows why something is refused:
//
//	credential ──► hot: hash and fingerprint known? ──yes──► identity
//	                 │ no
//	                 ▼
//	               find by ID ──► secret or signature ──► state, address ──► ancestors narrow it ──► identity, learned
//	                 │ unknown                              │ unconfirmed
//	                 ▼                                      ▼
//	               just created? catch up once            Config.Confirm
//
// The table is loaded once and then follows. Changes by this process arrive with [Table.Take] after their commit; those by others
// arrive with PostgreSQL's notifications, and a poll finds what was missed. How far the table trusts itself:
//
//	fresh ──no comparison with the database for 10 s──► stale (refuses everything) ──a comparison succeeds──► fresh
//	fresh ──the database is behind the table, or was restored──► all keys are loaded again ──► fresh
//
// [Reader] answers questions: which keys changed, which secrets are alive, what limits a key. The table writes nothing but the
// time; what a first use or a counted use changes is written by bridge/keys.
package table
