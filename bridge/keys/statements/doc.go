// Package statements is what a cloud says about a key with the key's own signature, and what that takes away.
//
// A revocation ends the key. A withdrawal ends access tokens of members, and ends or limits the personal keys that the
// members made. A statement can only take away, so it needs no other credential, no audience and no end; sent again, it changes
// nothing. The life of one:
//
//	signed by the cloud ──► signature ok? ──no──► refused
//	                          │ yes
//	                          ▼
//	                        too many about this key ([Pace])? ──yes──► refused, may be sent again
//	                          │ no
//	                          ▼
//	                        key dead, or all of it known ([Taken.Knows])? ──yes──► answered, nothing changes
//	                          │ no
//	                          ▼
//	                        taken in ([Taken.With], [Personal.After]) ──► kept until no token is left that it concerns
//
// A withdrawal has a number where the cloud counts its statements: then tokens with a lower number are dead, and no clock
// decides. Without a number, tokens that were issued until its time are dead. Of several statements the strictest counts. What
// is kept is bounded: beyond 500 members it becomes one entry for everybody, and all fetch new tokens.
//
// The package reads and reckons. Which rows change, in which transaction, is decided by bridge/keys.
package statements
