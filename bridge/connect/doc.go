// Package connect registers a self-hosted server with its cloud.
//
// Whoever connects is logged in to the cloud; the server trusts the cloud, which it was told by what `ace org trust` prints. The flow
// issues a key of the server that only the cloud can open, and proves it:
//
//	who connects             the cloud                       the server
//	  │ who am I ───────────────>│                               │
//	  │ discover ───────────────────────────────────────────────>│  its URLs, its clock, whom it trusts
//	  │ check trust                                              │
//	  │ narrow ─────────────────>│  a connect token, for this server alone
//	  │ exchange ───────────────────────────────────────────────>│  a key, sealed for the cloud
//	  │ register ───────────────>│  opens it and keeps it        │
//	  │ credential ─────────────>│                               │
//	  │ first use ──────────────────────────────────────────────>│  confirms the key
//	  │ check ──────────────────>│  how it looks from there      │
//
// It promises:
//   - Nothing is changed before the exchange. A connect that dies after it leaves nothing live: a key that no first use confirms dies
//     by itself, and running it again completes it.
//   - A first use that fails takes back what this connect has registered, and nothing of another connect.
//   - Of several connects at once one registers its key; the others find that connection and use it.
//   - A connect waits at short limits of the cloud and the server, for a minute in all.
//   - A refusal says where the cause lies (this machine, the cloud, the server) and what to do, as a
//     [github.com/acebridge/ace/bridge.Error].
//
// It prints nothing and asks nobody: [Config.Note] and [Config.Waiting] are told what a person may want to know. How one logs in is
// left to the caller; what a key may do is decided by the server.
package connect
