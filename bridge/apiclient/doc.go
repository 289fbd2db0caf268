// Package apiclient calls a cloud or a server over the JSON API, with types for everything.
//
// [Cloud] calls a cloud for one session; its calls are divided by subject: connections, organizations, sharing, identity, and
// signing in (OAuth). [Server] calls a self-hosted server with one credential. Both have the calls about API keys, which the two
// answer alike ([Client]).
//
//	call ──► credential into the header for its form ──► answer
//	           ├─ 2xx: JSON, decoded strictly, of bounded size
//	           ├─ 3xx: refused: a credential never goes to an address that nobody typed
//	           ├─ 4xx, 5xx: the error that the other side had, see [api.ReadProblem]
//	           └─ nobody answers: why, in a sentence without secrets ([WhyUnreachable])
//
// A client keeps nothing between calls and never tries twice; who calls decides what to do about an error.
package apiclient
