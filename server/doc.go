// Package server is the self-hosted side: it issues API keys, and decides which requests an app behind it gets.
//
// Keys come from connect tokens of the trusted cloud (exchange.go), or are made through the API of keys (bridge/keyhttp). A
// request's way:
//
//	request ──► routes.go: odd paths refused, CORS, request ID
//	  ├─ /ace/v1/verify ──► forward.go: a proxy asks about the app's request ─┐
//	  ├─ any other path ──► gateway.go: the app behind the server ────────────┤
//	  │                                                                       ▼
//	  │                     auth.go, bridge/guard: who is it (bridge/keys/table), may it (bridge/catalogue), count the use
//	  │                       ├─ yes ──► headers X-Ace-* ──► the app; cut when the key dies
//	  │                       └─ no ───► refusals.go: remembered for `ace why`, audited if the key is known ──► 401, 403
//	  ├─ /ace/v1/introspect, /ace/v1/revocations ──► introspect.go: the same decision for [guard.Remote] and others
//	  └─ /ace/v1/… ──► a thin handler ──► bridge/keys: rule, rows and audit entry in one transaction
//
// The gateway, forward-auth and introspection ask the same [guard.Local], so that they come to one decision. Every error is
// rendered in one place, by bridge/api.
//
// [Server.Run] keeps the keys up to date, cuts what has died, and writes refusals beside the requests and not on their way.
// The server knows nothing of a cloud but its name and its public key ([bridge.Trust]).
package server
