// Package connections has the commands `ace connect`, `ace connections` and `ace disconnect`.
//
// A connection is a self-hosted server that the cloud may call, with a key of that server. Its way through the commands:
//
//	connect ──> private ──share──> shared with the organization ──unshare──> private
//	                                 │
//	                                 ├─ share --preset, --scope: a ceiling, the most that members get
//	                                 └─ limit, unlimit: less for one member or one key
//
//	disconnect, from either ──> gone; its key is revoked on the server: now, or by the cloud once the server answers
//
// A change that may take something away from people first prints what else it ends, and asks
// ([github.com/acebridge/ace/cmd/ace/internal/preview]). `ace connections list` warns of keys that could not be renewed and of
// revocations that servers have not taken yet.
//
// The flow of connecting is [github.com/acebridge/ace/bridge/connect]; who may share or limit is decided by the cloud.
package connections
