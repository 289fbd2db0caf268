// Package server is the self-hosted side: it issues API keys and decides about requests to the app behind it.
//
// Keys come from connect tokens of the trusted cloud (exchange.go), or are created through the key API (bridge/keyhttp). The
// way of a request:
//
//	request ──► routes.go: odd requests refused, CORS, request ID
//	  ├─ /ace/v1/verify ──► forward.go: a proxy asks about the app's request ─┐
//	  ├─ any other path ──► gateway.go: the app behind the server ────────────┤
//	  │                                                                       ▼
//	  │                     auth.go, bridge/guard: who is it (bridge/keys/table), may it (bridge/catalogue), count the use
//	  │                       ├─ yes ──► X-Ace-* headers ──► the app; cut when the key dies
//	  │                       └─ no ───► refusals.go: remembered for `ace why`, audited if the key is known ──► 401, 403
//	  ├─ /ace/v1/introspect, /ace/v1/revocations ──► introspect.go: the same decision for [guard.Remote] and others
//	  └─ /ace/v1/… ──► a thin handler ──► bridge/keys: rule, rows and audit entry in one transaction
//
// The gateway, forward-auth and introspection use the same [guard.Local], so they cannot come to different decisions. bridge/api
// renders every error, in one place.
//
// [Server.Run] works in the background: it keeps the keys up to date, cuts open requests whose key has died, and writes refusals
// to the audit log. All that the server knows of a cloud is its URL and its public key ([bridge.Trust]).
package server
