// Package record is a key as it is stored: its columns, its state, its limits and what it was made with.
//
// [Record] is what people see of a key, [Row] adds what verifies it: no secret, only a hash and a public key ([Proof]). The
// state of a key is never stored; it follows from times and counts ([StatusOf]), the first that applies:
//
//	ended                                   ──► revoked
//	past its expiry                         ──► expired
//	exchanged, and not used in time         ──► lapsed
//	all uses taken                          ──► used_up
//	disabled                                ──► disabled
//	exchanged, and waiting for a first use  ──► unconfirmed
//	otherwise                               ──► active
//
// [Lineage] is what a key was made with and on whose behalf. A key that is active by itself does not pass while one of its
// ancestors is not; that is for the table, which has them all. [Limits] narrow from where, how fast and how often a key is
// used.
//
// The package reads rows and inserts one; changing them is for bridge/keys.
package record
