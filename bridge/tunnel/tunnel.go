// Package tunnel carries HTTP requests from a cloud to a server that dials out, over reverse HTTP/2 (RFC 9113).
//
// The server dials the cloud and upgrades the connection (RFC 9110 §7.8). From then on the two change places: the cloud sends
// HTTP/2 requests over that connection, and the server answers them with its own handler. There is no protocol of our own, and
// no address in a frame: what arrives is an HTTP request for the server's handler, and nothing else.
//
//	server                                            cloud
//	[Dialer.Run] ── GET …, Upgrade: ace-link ───────► [Acceptor.Accept]
//	             ◄─ 401, a challenge ────────────────
//	             ── GET …, the signed challenge ────►
//	             ◄─ 101 ─────────────────────────────
//	[http.Handler] ◄═══ HTTP/2 requests ═════════════ [Links.Transport]
//
// Where something on the way lets no upgrade through but WebSockets (RFC 6455), the bytes of the link are the binary messages of
// one. A server looks for a replica of the cloud where it has no link yet.
//
// A link at the server:
//
//	waiting ──► dialing ──► up ──► waiting      lost, or drained by the cloud
//	               │                  ▲
//	               └─ refused ────────┘         after a longer wait each time
//
// Server processes with links of one connection are replicas: they take turns, or the cloud refuses the later one ([Replicas]).
//
// Both ends ping a quiet link and give it up within 15 seconds of silence; before that, the cloud avoids a link that has not
// answered when it was asked. A link that is lost ends its requests with an error
// that says so; no request is sent a second time once any of it may have reached the server.
//
// A link's credential is an Ed25519 key that the server makes. It signs the challenges of one cloud for one connection, and
// opens nothing else.
//
// What the package leaves to others: which connections have links and who may open them ([AcceptorConfig]), what the server's handler
// lets through, and whether the path behind a link works.
package tunnel

import (
	"net/http"
	"time"
)

const (
	// Protocol is what a server asks the cloud to upgrade a connection to.
	Protocol = "ace-link"

	// A link without a byte for pingAfter is pinged, and given up pingWait later.
	pingAfter = 6 * time.Second
	pingWait  = 6 * time.Second
	// stuckAfter is how long a write may make no progress.
	stuckAfter = 15 * time.Second

	// Bytes that one request, and all requests of a link, may have under way in one direction. Eight megabytes fill
	// 1 Gbit/s at a round trip of 60 ms; the defaults of net/http fill an eighth of it from the cloud to the server.
	// What readers leave unread counts, so that sixteen of them have to stand still before they hold up others.
	streamWindow = 8 << 20
	linkWindow   = 128 << 20
	frameSize    = 64 << 10

	// maxStreams is how many requests a link carries at a time.
	maxStreams = 1000
	// continueAfter is how long a request with Expect: 100-continue waits before it sends its body anyway.
	continueAfter = time.Second
	// headerBytes bounds the headers of a request and of a response.
	headerBytes = 64 << 10
)

// flow is how both ends set up HTTP/2.
func flow() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams, MaxReadFrameSize: frameSize,
		MaxReceiveBufferPerStream: streamWindow, MaxReceiveBufferPerConnection: linkWindow,
		SendPingTimeout: pingAfter, PingTimeout: pingWait,
	}
}
