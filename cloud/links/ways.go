package links

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/acebridge/ace/bridge"
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

// Linked reports whether a server has a link to this replica or to another one that this one reaches.
func (ls *Links) Linked(ctx context.Context, connection string) bool {
	if len(ls.links.Of(connection)) > 0 {
		return true
	}
	_, elsewhere := ls.hop.holder(ctx, connection)
	return elsewhere
}

// Here returns the connections whose servers have links to this replica.
func (ls *Links) Here() []string { return ls.links.Connections() }

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
	if to, ok := w.links.hop.holder(r.Context(), w.connection); ok {
		resp, sent, err := w.over(r, hopWay{w.links.hop, w.connection, to})
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
// lost, is busy or is silent, or that it does not carry the request. Why a server cannot be reached directly is nobody's business but its connection's.
func IsLinkError(err error) (*bridge.Error, bool) {
	e, ok := errors.AsType[*bridge.Error](err)
	if !ok {
		return nil, false
	}
	switch e.Code {
	case bridge.CodeNoLink, bridge.CodeLinkLost, bridge.CodeLinkBusy, bridge.CodeLinkSilent, bridge.CodeLinkForbidden, bridge.CodeStopping:
		return e, true
	}
	return nil, false
}
