package tunnel

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/acebridge/ace/bridge"
)

// Paths that a link keeps for the two ends themselves. [Links.Transport] sends no request of others to them, so that no client
// of a proxy in front of it can speak to the server past that proxy; and the server's end heeds them for the host [Protocol] only.
const (
	ownPath = "/.ace-link"
	// streamPath is the path of a request that carries one HTTP/1.1 connection as its body, for an upgrade such as WebSocket
	// (RFC 6455). What it carries goes through the same handler.
	streamPath = ownPath + "/http1"
	// askPath is the path of a request that the server's end of a link answers by itself, so that the cloud knows that it lives.
	askPath = ownPath + "/ask"
)

// own reports whether a request at the server's end is of the cloud's end itself.
func own(r *http.Request, method, path string) bool {
	return r.ProtoMajor == 2 && r.Method == method && r.URL.Path == path && r.Host == Protocol
}

// reserved reports whether the path of a request, as the other end will read it, is one that a link keeps for itself, or could
// be taken for one.
func reserved(u *url.URL) bool {
	sent, err := url.ParseRequestURI(u.RequestURI()) // an opaque URL has no path here yet
	if err != nil {
		return false // the other end cannot read it either
	}
	first := strings.TrimPrefix(path.Clean("/"+strings.ToLower(strings.ReplaceAll(sent.Path, `\`, "/"))), "/")
	if end := strings.IndexAny(first, "/;"); end >= 0 {
		first = first[:end]
	}
	return first == ownPath[1:]
}

var errReserved = bridge.E(bridge.Forbidden, bridge.CodeLinkForbidden, "paths below %s/ are the link's own, and do not come over it", ownPath).
	WithHint("call the server directly, or give the app's endpoint another path")
