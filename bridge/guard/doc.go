// Package guard verifies the credentials of requests to a Go app, as middleware in front of any handler.
//
// It is the inside of the gateway of `ace server` as well. A [Guard] asks a [Verifier] who a request comes from and whether
// it may pass: [Local], over a key authority in the same process, or [Remote], over HTTP. Both decide by the rules of the catalogue
// (bridge/catalogue), and come to the same decision. The app reads the identity from the headers X-Ace-*, which no client can
// set, or with [FromContext].
//
// A request's life:
//
//	arrives ──Admit──► open ──the handler returns──► done
//	   │                 │
//	   │ refused         │ its key dies: seen within 250 ms ([Guard.Run])
//	   ▼                 ▼
//	 401, 403          cut: its context ends, and an answer that has begun is broken off
//
// [Remote] keeps answers of the server in a small cache, by a hash of the credential, and follows a stream of changed keys:
//
//	lost ──the stream begins──► fresh ──10 s without a word (Lease)──► lost
//
// While it is lost nothing passes, with status 503. A changed key leaves the cache at once, and answers about it are not
// kept for 15 seconds, as another process of the server may still give the old one. What happened to a key whose changes were
// missed is not known: then the cache is emptied, and all that is open is cut.
package guard
