// Package statements handles what a cloud says about a key, signed with that key.
//
// A revocation ends the key. A withdrawal ends members' access tokens, and ends or limits the personal keys that the members
// created. Statements can only take away, so they need no other credential, no audience and no expiry; repeating one changes
// nothing. The life of a statement:
//
//	signed by the cloud ──► signature valid? ──no──► refused
//	                          │ yes
//	                          ▼
//	                        too many about this key ([Pace])? ──yes──► refused, may be sent again
//	                          │ no
//	                          ▼
//	                        key dead, or nothing new in it ([Taken.Knows])? ──yes──► accepted, nothing changes
//	                          │ no
//	                          ▼
//	                        taken in ([Taken.With], [Personal.After]) ──► kept until it concerns no token any more
//
// If the cloud numbers its statements, a withdrawal has a number: tokens with a lower number are dead, and no clock matters.
// Without a number, tokens issued until its time are dead. Of several statements the strictest counts. What is kept is bounded:
// beyond 500 members it becomes one entry for everybody, and all members have to fetch new tokens.
//
// The package only parses and computes. Which rows change in which transaction is up to bridge/keys.
package statements
