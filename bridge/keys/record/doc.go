// Package record is a key as stored: its columns, state, limits and lineage.
//
// [Record] is what people see of a key; [Row] adds what verifies it, which is not the secret but a hash and a public key
// ([Proof]). A key's state is never stored; it follows from times and counts ([StatusOf]). The first line that applies counts:
//
//	ended                                   ──► revoked
//	past its expiry                         ──► expired
//	exchanged, and not used in time         ──► lapsed
//	all uses used up                        ──► used_up
//	disabled                                ──► disabled
//	exchanged, waiting for its first use    ──► unconfirmed
//	otherwise                               ──► active
//
// [Lineage] says which key a key was created with, and on whose behalf. An active key is refused while one of its ancestors is
// not active; that is checked by keys/table, which has all of them. [Limits] narrow from where, how fast and how often a key may
// be used.
//
// The package reads rows and inserts them; changing them is up to bridge/keys.
package record
