package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/api/serving"
	"github.com/acebridge/ace/bridge/guard"
)

// refuseOddRequests refuses what the server never handles, before anything looks at the path.
func refuseOddRequests(c echo.Context) error { return guard.CheckRequest(c.Request()) }

const (
	dialTimeout      = 5 * time.Second
	upstreamIdle     = 90 * time.Second
	upstreamConns    = 256
	maxAnswerHeaders = 256 << 10
	// flushInterval is how long a piece of a response with declared length waits for the next, so that a short response takes
	// one write. Other responses, and server-sent events, are forwarded at once by httputil.ReverseProxy.
	flushInterval = time.Millisecond
)

// newGateway returns a reverse proxy to the app. The admitted identity travels in the request's context.
func newGateway(upstream *url.URL, trusted []netip.Prefix, app *appState, log *slog.Logger) *httputil.ReverseProxy {
	transport := &http.Transport{
		Proxy:        nil, // an environment variable must not be able to redirect keys
		DialContext:  (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns: upstreamConns, MaxIdleConnsPerHost: upstreamConns, IdleConnTimeout: upstreamIdle,
		TLSHandshakeTimeout: dialTimeout, ExpectContinueTimeout: time.Second, MaxResponseHeaderBytes: maxAnswerHeaders,
		DisableCompression: true, // forward bytes unchanged
	}
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			// Rewrite runs after hop-by-hop headers are removed, so "Connection: X-Ace-Subject" cannot remove ours.
			who, _ := guard.FromContext(p.In.Context())
			requestID := api.RequestID(p.In)
			guard.Aim(p, upstream, guard.SentPath(p.In))
			p.Out.Host = p.In.Host
			stripRequest(p.Out.Header)
			guard.PassTrailer(p.In, p.Out, stripRequest)
			who.SetHeaders(p.Out.Header, requestID)
			setForwarded(p.Out.Header, p.In, trusted)
			p.Out.Header[api.HeaderRequestID] = p.Out.Header[bridge.HeaderRequestID]
		},
		ModifyResponse: func(resp *http.Response) error {
			app.answers(resp.StatusCode)
			stripAnswer(resp.Header)
			if resp.StatusCode != http.StatusSwitchingProtocols { // a 101 has a connection instead of a body
				stripAnswer(resp.Trailer)
				resp.Body = &guard.EndedBody{ReadCloser: resp.Body, Ended: func() { stripAnswer(resp.Trailer) }}
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if stopped := serving.Stopped(r.Context()); stopped != nil {
				api.WriteProblem(w, stopped)
				return
			}
			if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
				panic(http.ErrAbortHandler) // the client has gone
			}
			if refusal, ok := errors.AsType[*bridge.Error](err); ok { // a check cut off the request's body
				log.Info("the body of a request was broken off", "request_id", r.Header.Get(api.HeaderRequestID), "error", refusal.Err)
				api.WriteProblem(w, refusal)
				return
			}
			log.Warn("the upstream did not answer", "upstream", upstream.Host, "error", err)
			api.WriteProblem(w, bridge.E(bridge.Unreachable, bridge.CodeUpstreamUnreachable, "the app behind this server does not answer").
				WithHint("check that it runs at the address in ACE_UPSTREAM_URL"))
		},
		FlushInterval: flushInterval,
		BufferPool:    &api.BufferPool{},
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// stripRequest removes the headers that an app must not see as a client sent them.
func stripRequest(h http.Header) {
	guard.StripInbound(h)
	guard.StripForwarded(h)
}

// stripAnswer removes the response headers that are not the app's to set.
func stripAnswer(h http.Header) {
	delete(h, api.HeaderRequestID)     // already set by us
	delete(h, bridge.HeaderKeyExpires) // only ours to set
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(h, name) // this server decides which origins may read
		}
	}
}

// proxy forwards an admitted request to the app.
func (s *Server) proxy(c echo.Context) error {
	if s.gateway == nil {
		return bridge.E(bridge.NotFound, bridge.CodeNoUpstream, "there is nothing at this address, and no app behind this server").
			WithHint("set ACE_UPSTREAM_URL to the address of the app")
	}
	if len(s.cfg.Upstream.Path) > 1 && guard.Climbs(c.Request().URL.EscapedPath()) {
		return guard.ErrClimbs // it would leave the path that the app is at
	}
	entered, who, err := s.guard.Enter(c.Response(), c.Request(), c.RealIP())
	if err != nil {
		return s.refused(c, who, err)
	}
	defer entered.Leave()
	s.gateway.ServeHTTP(entered.Writer, entered.Request)
	return nil
}

// setForwarded tells the app where the request came from: the client's address, and the host and scheme that it used, as seen by
// a trusted proxy in front.
func setForwarded(out http.Header, in *http.Request, trusted []netip.Prefix) {
	values := [3]string{api.ClientAddress(in, trusted), api.ForwardedHost(in, trusted), api.ForwardedScheme(in, trusted)}
	out["X-Forwarded-For"], out["X-Forwarded-Host"], out["X-Forwarded-Proto"] = values[0:1:1], values[1:2:2], values[2:3:3]
}
