// Package guard verifies the credentials of requests to a Go app, as middleware for any handler.
//
// A [Guard] asks a [Verifier] who sent a request and whether it may pass. There are two: [Local] uses a key authority in the
// same process, [Remote] asks an `ace server` over HTTP. Both apply the rules of the catalogue (bridge/catalogue) and come to
// the same decision. The app reads the identity from the X-Ace-* headers, which no client can set, or with [FromContext]. The
// gateway of `ace server` is built on the same code.
//
// The life of a request:
//
//	arrives ──Admit──► open ──handler returns──► done
//	   │                 │
//	   │ refused         │ its key dies: noticed within 250 ms ([Guard.Run])
//	   ▼                 ▼
//	 401, 403          cut: its context ends, and a response that has begun is broken off
//
// [Remote] caches the server's answers by a hash of the credential, and follows a stream of changed keys:
//
//	lost ──stream begins──► fresh ──10 s of silence (Lease)──► lost
//
// While the stream is lost nothing passes; callers get status 503. A changed key leaves the cache at once, and answers about
// it are not cached for the next 15 seconds, since another process of the server may still give the old one. If changes were
// missed, the state of every key is unknown: the cache is emptied and all open requests are cut.
//
// A guard does not rate-limit, terminate TLS or log: [Config.OnRefusal] is told of each refusal with its exact cause, while
// the client sees only a public sentence.
package guard
