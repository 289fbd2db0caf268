// Package apiclient calls a cloud or a server over the JSON API, with typed requests and responses.
//
// [Cloud] calls a cloud with one credential; its methods are grouped by subject: connections, organizations, sharing, identity,
// and signing in (OAuth). [Server] calls a self-hosted server with one credential. Both have the calls about API keys, which a
// cloud and a server answer alike ([Client]).
//
//	call ──► credential into the header for its kind ──► response
//	           ├─ 2xx: JSON, decoded strictly, of bounded size
//	           ├─ 3xx: an error: a credential never goes to an address that nobody typed
//	           ├─ 4xx, 5xx: the other side's error, see [api.ReadProblem]
//	           └─ none: an error that says why, without secrets ([WhyUnreachable])
//
// Every error is a [bridge.Error], except a cancelled context's. A client keeps no state between calls and never retries:
// the caller decides what to do about an error.
package apiclient
