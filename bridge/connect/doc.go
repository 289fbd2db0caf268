// Package connect registers a self-hosted server with its cloud.
//
// The caller is logged in to the cloud. The server trusts the cloud, because its operator gave it what `ace org trust`
// prints. The flow makes the server issue a key that only the cloud can open, and proves that it works:
//
//	caller                   the cloud                       the server
//	  │ who am I ───────────────>│                               │
//	  │ discover ───────────────────────────────────────────────>│  its URLs, its clock, whom it trusts
//	  │ check trust                                              │
//	  │ narrow ─────────────────>│  a connect token for this server only
//	  │ exchange ───────────────────────────────────────────────>│  a key, sealed for the cloud
//	  │ register ───────────────>│  opens the key and stores it  │
//	  │ credential ─────────────>│                               │
//	  │ first use ──────────────────────────────────────────────>│  confirms the key
//	  │ check ──────────────────>│  verifies the connection from its side
//
// It promises:
//   - Nothing changes before the exchange. A connect that is interrupted after it leaves nothing usable: a key that is never
//     used expires by itself, and running the connect again completes it.
//   - If the first use fails, what this connect registered is removed, and nothing that belongs to another connect.
//   - Of several connects at once, one registers its key; the others find that connection and use it.
//   - A connect waits at short rate limits of the cloud and the server, for a minute in total.
//   - A refusal says where the cause lies (this machine, the cloud, the server) and what to do about it, as a
//     [github.com/acebridge/ace/bridge.Error].
//
// [Join] is the same flow begun by the server, with a join token instead of a session. The server itself is the caller, asks its
// own exchange within the process, and registers the key of its link along with the API key; the cloud makes the first use:
//
//	the server itself          the cloud
//	  │ pin its public key        │
//	  │ join ────────────────────>│  counts a use of the token, answers a connect token for this server only
//	  │ exchange with itself      │
//	  │ complete ────────────────>│  opens the key, stores it and the link's public key
//	  │ link ────────────────────>│
//	  │<═══════════════ first use │  confirms the key
//
// The package neither prints nor prompts: [Config.Note] and [Config.Waiting] receive what a person may want to know. Logging
// in is up to the caller; what the key may do is up to the server.
package connect
