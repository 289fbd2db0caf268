package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/guard"
)

// forwardedHeaders say where a request came from. Apps believe them, so that none passes as a client sent it.
var forwardedHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
	"X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Real-Ip", "True-Client-Ip",
	"X-Client-Ip", "Cf-Connecting-Ip"}

// refuseOddRequests turns away what has no business here, before anything looks at the path.
func (s *Server) refuseOddRequests(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := guard.CheckRequest(c.Request()); err != nil {
			return err
		}
		return next(c)
	}
}

type forwarded struct {
	who       bridge.Identity
	requestID string
	client    string
	host      string
	proto     string
}

type forwardedKey struct{}

const (
	dialTimeout      = 5 * time.Second
	upstreamIdle     = 90 * time.Second
	upstreamConns    = 256
	maxAnswerHeaders = 256 << 10
)

// newGateway is a reverse proxy to the app. What a handler decided travels in the request's context.
func newGateway(upstream *url.URL, log *slog.Logger) *httputil.ReverseProxy {
	transport := &http.Transport{
		Proxy:        nil, // an environment variable must not redirect keys
		DialContext:  (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns: upstreamConns, MaxIdleConnsPerHost: upstreamConns, IdleConnTimeout: upstreamIdle,
		TLSHandshakeTimeout: dialTimeout, ExpectContinueTimeout: time.Second, MaxResponseHeaderBytes: maxAnswerHeaders,
		DisableCompression: true, // pass bytes on as they are
	}
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			// Rewrite runs after the hop-by-hop headers are gone, so that "Connection: X-Ace-Subject" removes nothing.
			f, _ := p.In.Context().Value(forwardedKey{}).(forwarded)
			p.SetURL(upstream)
			p.Out.Host = p.In.Host
			guard.StripInbound(p.Out.Header)
			for _, name := range forwardedHeaders {
				p.Out.Header.Del(name)
			}
			// Trailers arrive after the decision; none may pass for a header of ours, or be one.
			p.Out.Trailer = nil
			p.Out.Header.Del("Te")
			f.who.SetHeaders(p.Out.Header, f.requestID)
			p.Out.Header.Set("X-Forwarded-For", f.client)
			p.Out.Header.Set("X-Forwarded-Host", f.host)
			p.Out.Header.Set("X-Forwarded-Proto", f.proto)
			p.Out.Header.Set(api.HeaderRequestID, f.requestID)
		},
		ModifyResponse: func(resp *http.Response) error {
			resp.Header.Del(api.HeaderRequestID)     // ours is set already
			resp.Header.Del(bridge.HeaderKeyExpires) // and this is ours alone
			for name := range resp.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					delete(resp.Header, name) // who may read across origins is decided here
				}
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
				panic(http.ErrAbortHandler) // the client is gone
			}
			log.Warn("the upstream did not answer", "upstream", upstream.Host, "error", err)
			api.WriteProblem(w, bridge.E(bridge.Unreachable, "upstream_unreachable", "the app behind this server does not answer").
				WithHint("check that it runs at the address in ACE_UPSTREAM_URL"))
		},
		FlushInterval: -1, // streams pass as they come
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// proxy passes a request of a known caller to the app.
func (s *Server) proxy(c echo.Context) error {
	if s.gateway == nil {
		return bridge.E(bridge.NotFound, "no_upstream", "there is nothing at this address, and no app behind this server").
			WithHint("set ACE_UPSTREAM_URL to the address of the app")
	}
	entered, who, err := s.guard.Enter(c.Response(), c.Request(), c.RealIP())
	if err != nil {
		return s.refused(c, who, err)
	}
	defer entered.Leave()
	r := entered.Request
	f := forwarded{who: who, requestID: api.RequestID(r), client: c.RealIP(), host: r.Host, proto: "http"}
	if r.TLS != nil {
		f.proto = "https"
	}
	if api.FromTrusted(r, s.cfg.TrustedProxies) { // it has seen the client's own host and scheme
		if host := r.Header.Get("X-Forwarded-Host"); host != "" {
			f.host = host
		}
		if proto := r.Header.Get("X-Forwarded-Proto"); proto == "https" || proto == "http" {
			f.proto = proto
		}
	}
	s.gateway.ServeHTTP(entered.Writer, r.WithContext(context.WithValue(r.Context(), forwardedKey{}, f)))
	return nil
}
