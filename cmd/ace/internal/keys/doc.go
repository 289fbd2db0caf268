// Package keys has the commands of `ace api-key`, and `ace why`.
//
// A key belongs to the cloud or to a server; [github.com/acebridge/ace/cmd/ace/internal/target] finds out which is meant. What the
// commands do to a key:
//
//	create ──> active ──disable──> disabled ──enable──> active
//	             │
//	             ├──rotate───────> active, with a new secret; the old one stays valid for a grace period
//	             ├──revive───────> active, with a new secret and expiry; the old secret dies at once
//	             ├──time─────────> expired ──revive──> active
//	             └──revoke───────> revoked, for good, with all that was made with the key
//
// A secret is printed once, when the cloud or server has just made it, and never again. If a rotation gets no answer, the command
// repeats it under the same idempotency key, so that a lost answer does not lose the secret. Before a key is revoked, the command
// prints what else that ends, and asks if other keys end too.
//
// What a key may do, and who may change it, is decided by the cloud and the server.
package keys
