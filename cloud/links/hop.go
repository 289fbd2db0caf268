package links

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/guard"
	"github.com/acebridge/ace/cloud/presence"
)

// Internal is how the other replicas of the cloud reach this one. The zero value: they do not, and one replica alone may hold
// links.
type Internal struct {
	Listener net.Listener     // never public; both ends prove themselves with certificates that come from the cloud's signing key
	URL      bridge.ServerURL // where the other replicas reach the listener, and they alone
}

// The headers of a hop. No request of a member and no response of a server carries them: both ends replace and remove them.
const (
	headerHopFrom       = "Ace-Hop-From"       // ID of the replica that sends it
	headerHopTo         = "Ace-Hop-To"         // ID of the replica that it is for
	headerHopConnection = "Ace-Hop-Connection" // whose link is meant
	headerHopScheme     = "Ace-Hop-Scheme"     // of the server's URL
	headerHopError      = "Ace-Hop-Error"      // code of what has gone wrong at the other replica
)

const (
	farFresh   = time.Second // how long it is remembered who holds a connection's links
	maxFar     = 10_000
	hopHeaders = 10 * time.Second
	hopDial    = 3 * time.Second
	hopIdle    = 90 * time.Second
	hopConns   = 64
)

// hop sends requests to the replica that holds a link, and answers those of other replicas. There is never a second hop: what
// comes in goes to a link here, or nowhere.
type hop struct {
	links    *Links
	internal Internal
	log      *slog.Logger
	server   *http.Server
	plain    *http.Transport // requests, over HTTP/2
	upgrades *http.Transport // HTTP/2 has no upgrades

	mu  sync.Mutex
	far *simplelru.LRU[string, farEntry]
}

type farEntry struct {
	replica presence.Replica
	ok      bool
	asked   time.Time
}

func newHop(ls *Links, internal Internal) (*hop, error) {
	server, client, err := replicaTLS(ls.cfg.Root, time.Now())
	if err != nil {
		return nil, err
	}
	h := &hop{links: ls, internal: internal, log: ls.log}
	h.far, _ = simplelru.NewLRU[string, farEntry](maxFar, nil) // fails only for a size of 0
	h.server = &http.Server{Handler: http.HandlerFunc(h.answer), TLSConfig: server, ReadHeaderTimeout: hopHeaders,
		ErrorLog: slog.NewLogLogger(ls.log.Handler(), slog.LevelDebug)}
	dial := &net.Dialer{Timeout: hopDial}
	h.plain = &http.Transport{DialContext: dial.DialContext, TLSClientConfig: client, TLSHandshakeTimeout: hopDial, ForceAttemptHTTP2: true,
		DisableCompression: true, IdleConnTimeout: hopIdle, ExpectContinueTimeout: time.Second,
		HTTP2: &http.HTTP2Config{SendPingTimeout: presence.RenewEvery, PingTimeout: presence.RenewEvery}}
	h.upgrades = &http.Transport{DialContext: dial.DialContext, TLSClientConfig: client.Clone(), TLSHandshakeTimeout: hopDial,
		DisableCompression: true, IdleConnTimeout: hopIdle, MaxIdleConnsPerHost: hopConns}
	h.upgrades.TLSClientConfig.NextProtos = []string{"http/1.1"}
	return h, nil
}

// serve answers other replicas until ctx ends.
func (h *hop) serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = h.server.Close() })
	defer stop()
	if err := h.server.ServeTLS(h.internal.Listener, "", ""); err != nil && !errors.Is(err, http.ErrServerClosed) {
		h.log.Error("the listener for other replicas has failed", "error", err)
	}
	h.plain.CloseIdleConnections()
	h.upgrades.CloseIdleConnections()
}

// holder returns the other replica that holds links of a connection, as was found out within the last second.
func (h *hop) holder(ctx context.Context, connection string) (presence.Replica, bool) {
	if h == nil || h.links.others.Load() == 0 {
		return presence.Replica{}, false
	}
	now := time.Now()
	h.mu.Lock()
	known, found := h.far.Get(connection)
	h.mu.Unlock()
	if found && now.Sub(known.asked) < farFresh {
		return known.replica, known.ok
	}
	replica, ok, err := h.links.cfg.Presence.Elsewhere(ctx, connection)
	if err != nil {
		h.links.logged(ctx, "look up who holds the links of a connection", err)
		return known.replica, known.ok
	}
	known = farEntry{replica, ok && replica.URL != "", now}
	h.mu.Lock()
	h.far.Add(connection, known)
	h.mu.Unlock()
	return known.replica, known.ok
}

// forget has it looked up again who holds the links of a connection.
func (h *hop) forget(connection string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.far.Remove(connection)
}

// hopWay is the way to a connection's server over the link of another replica.
type hopWay struct {
	hop        *hop
	connection string
	to         presence.Replica
}

// RoundTrip implements [http.RoundTripper].
func (w hopWay) RoundTrip(r *http.Request) (*http.Response, error) {
	out := *r
	out.Header = r.Header.Clone()
	out.Header.Del(headerHopError)
	for name, value := range map[string]string{headerHopFrom: w.hop.links.cfg.Presence.Self().ID, headerHopTo: w.to.ID,
		headerHopConnection: w.connection, headerHopScheme: r.URL.Scheme} {
		out.Header.Set(name, value)
	}
	if out.Host == "" {
		out.Host = r.URL.Host
	}
	address, target := *r.URL, w.to.URL.URL()
	address.Scheme, address.Host = target.Scheme, target.Host // an opaque path names the server's own host, as out.Host does
	out.URL = &address
	transport := w.hop.plain
	if r.Header.Get("Upgrade") != "" {
		transport = w.hop.upgrades
	}
	resp, err := transport.RoundTrip(&out)
	if err != nil {
		w.hop.forget(w.connection)
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			return nil, errNoLink.Because(err) // nothing was sent
		}
		return nil, err
	}
	if code := bridge.Code(resp.Header.Get(headerHopError)); code != "" {
		_ = resp.Body.Close()
		w.hop.forget(w.connection)
		return nil, hopError(code)
	}
	return resp, nil
}

// hopError is the error that another replica has met on its link.
func hopError(code bridge.Code) error {
	switch code {
	case bridge.CodeNoLink:
		return errNoLink
	case bridge.CodeLinkLost:
		return bridge.E(bridge.Unreachable, code, "the link to the server ended while it had this request").
			WithHint("look at what the request has done before sending it again")
	case bridge.CodeLinkBusy:
		return &bridge.Error{Kind: bridge.Unavailable, Code: code, Detail: "the links of the server take no more requests at the moment",
			RetryAfter: time.Second}
	case bridge.CodeLinkForbidden:
		return bridge.E(bridge.Forbidden, code, "a link keeps this path for itself")
	case bridge.CodeStopping:
		return bridge.E(bridge.Unavailable, code, "this cloud is stopping")
	}
	return errHop
}

var errHop = errors.New("the server has not answered the replica of the cloud that holds its link")

// answer sends a request of another replica over a link here.
func (h *hop) answer(w http.ResponseWriter, r *http.Request) {
	connection, scheme, self := r.Header.Get(headerHopConnection), r.Header.Get(headerHopScheme), h.links.cfg.Presence.Self().ID
	if len(r.Header[headerHopFrom]) != 1 || r.Header.Get(headerHopFrom) == self || r.Header.Get(headerHopTo) != self ||
		len(h.links.links.Of(connection)) == 0 || scheme != "https" && scheme != "http" {
		fail(w, bridge.CodeNoLink) // it is for another process at the same address, or comes from this one
		return
	}
	for _, name := range []string{headerHopFrom, headerHopTo, headerHopConnection, headerHopScheme} {
		delete(r.Header, name)
	}
	proxy := httputil.ReverseProxy{Transport: h.links.links.Transport(connection), FlushInterval: -1, ErrorLog: h.server.ErrorLog,
		Rewrite: func(p *httputil.ProxyRequest) {
			guard.Aim(p, &url.URL{Scheme: scheme, Host: r.Host}, guard.SentPath(r))
			p.Out.Host = r.Host
			guard.PassTrailer(p.In, p.Out, func(http.Header) {})
		},
		ModifyResponse: func(resp *http.Response) error {
			resp.Header.Del(headerHopError)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			code := bridge.CodeServerUnreachable
			if e, known := IsLinkError(err); known {
				code = e.Code
			}
			fail(w, code)
		}}
	proxy.ServeHTTP(w, r)
}

func fail(w http.ResponseWriter, code bridge.Code) {
	w.Header().Set(headerHopError, string(code))
	w.WriteHeader(http.StatusBadGateway)
}
