// Package preview tells people what else a change would end, before they make it.
//
// Removing a member, lowering a role, setting a ceiling, revoking a key: each may also end sessions, tokens and keys that
// other people use. A command first asks the cloud or the server, prints the answer on stderr, and asks for a yes at a terminal:
//
//	Ask ──> Effects ──> Agree ──┬─ nothing else ends ──────────> go on
//	                            ├─ --yes, or nobody to ask ────> go on
//	                            └─ a terminal ──> "… [y/N]" ──┬─ yes ─> go on
//	                                                          └─ no ──> nothing was changed
//
// [RequireYes] is for what cannot be undone: it asks even when nothing else ends, and where there is nobody to ask it needs --yes.
//
// A preview never keeps anybody from a change. If the question is refused, or if the cloud or the server is too old to know it,
// there are no effects: the change itself will say what is wrong.
//
// What a change ends is decided by the cloud and the server; this package only counts it and words it.
package preview
