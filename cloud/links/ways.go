package links

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

var errNoLink = bridge.E(bridge.Unreachable, bridge.CodeNoLink, "the server has no link to this cloud").
	WithHint("look at `ace server` on its machine: it says why the link is down")

// Way is the way to a connection's server. It is safe for concurrent use.
type Way struct {
	// Answer is how long a server may take to begin its answer over a link, and Silence how long such an exchange may go on
	// without any traffic. Zero: no limit. The direct way has its own.
	Answer, Silence time.Duration

	links      *Links
	connection string
	server     bridge.ServerURL
	direct     http.RoundTripper

	local     http.RoundTripper
	localOnce sync.Once
}

// Way returns the way to a connection's server. Direct calls take the transport given, which judges what it dials.
func (ls *Links) Way(connection string, server bridge.ServerURL, direct http.RoundTripper) *Way {
	return &Way{links: ls, connection: connection, server: server, direct: direct}
}

// Linked reports whether a server has a link to this process or to another replica.
func (ls *Links) Linked(connection string) bool { return len(ls.links.Of(connection)) > 0 }

// Name returns api.WayTunnel or api.WayDirect: the way that a request would take now.
func (w *Way) Name() string {
	if w.server.LinkOnly() || w.links.Linked(w.connection) {
		return api.WayTunnel
	}
	return api.WayDirect
}

// RoundTrip implements [http.RoundTripper].
func (w *Way) RoundTrip(r *http.Request) (*http.Response, error) {
	failed := error(errNoLink)
	if len(w.links.links.Of(w.connection)) > 0 {
		w.localOnce.Do(func() { w.local = w.links.links.Transport(w.connection) })
		resp, sent, err := w.over(r, w.local)
		if sent {
			return resp, err
		}
		failed = err
	}
	if w.server.LinkOnly() {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, failed
	}
	return w.direct.RoundTrip(r)
}

// IsLinkError reports whether an error says something about a link that a member may know: that there is none, or that it was
// lost, is busy or is silent. Why a server cannot be reached directly is nobody's business but its connection's.
func IsLinkError(err error) (*bridge.Error, bool) {
	e, ok := errors.AsType[*bridge.Error](err)
	if !ok {
		return nil, false
	}
	switch e.Code {
	case bridge.CodeNoLink, bridge.CodeLinkLost, bridge.CodeLinkBusy, bridge.CodeLinkSilent, bridge.CodeStopping:
		return e, true
	}
	return nil, false
}
