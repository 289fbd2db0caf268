package server

import (
	"context"
	"encoding/base64"
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
)

// reserved reports whether a header may pass for one of ours: a proxy or an app may take '_' and '.' for '-' and ignore
// case, so the folded name counts.
func reserved(name string) bool {
	const prefix = "x-ace-"
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case (c < 'a' || c > 'z') && (c < '0' || c > '9'):
			c = '-'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// forwardedHeaders say where a request came from. Apps believe them, so that none passes as a client sent it.
var forwardedHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
	"X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Real-Ip", "True-Client-Ip",
	"X-Client-Ip", "Cf-Connecting-Ip"}

// stripInbound removes what the upstream must not see from outside: everything that looks like an identity header, what
// says where the request came from, and the credential itself in whichever header it came.
func stripInbound(h http.Header) {
	for name := range h {
		if reserved(name) {
			delete(h, name)
		}
	}
	for _, name := range forwardedHeaders {
		h.Del(name)
	}
	h.Del(bridge.HeaderAPIKey)
	for _, v := range h[bridge.HeaderAuthorization] {
		if scheme, _, _ := strings.Cut(v, " "); strings.EqualFold(scheme, "Bearer") {
			h.Del(bridge.HeaderAuthorization)
			break
		}
	}
}

// refuseOddRequests turns away what has no business here, before anything looks at the path.
func (s *Server) refuseOddRequests(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
			return bridge.E(bridge.NotAllowed, "method_not_allowed", "the method %s is not taken", r.Method)
		}
		if bridge.AmbiguousPath(r.URL.EscapedPath()) || !strings.HasPrefix(r.URL.Path, "/") {
			return bridge.E(bridge.Invalid, "path_ambiguous",
				"the path can be read in more than one way: it has dot segments, empty segments, an encoded slash or a backslash")
		}
		if upgrade := r.Header.Values("Upgrade"); len(upgrade) > 0 && !websocketRequest(r) {
			return bridge.E(bridge.Invalid, "upgrade_refused", "only a WebSocket upgrade is taken")
		}
		return next(c)
	}
}

// websocketRequest reports whether r is a well-formed opening handshake (RFC 6455 section 4.1). Any other upgrade, h2c
// among them, would open a raw pipe to the upstream past this gateway.
func websocketRequest(r *http.Request) bool {
	upgrade := r.Header.Values("Upgrade")
	return r.Method == http.MethodGet && r.ProtoMajor == 1 && len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket") &&
		websocketKey(r.Header.Values("Sec-Websocket-Key")) && r.Header.Get("Sec-Websocket-Version") == "13" &&
		r.ContentLength == 0 && len(r.TransferEncoding) == 0
}

// websocketKey reports whether there is one key of 16 bytes in base64.
func websocketKey(values []string) bool {
	if len(values) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(values[0])
	return err == nil && len(key) == 16
}

type forwarded struct {
	who       caller
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
			stripInbound(p.Out.Header)
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
			resp.Header.Del(api.HeaderRequestID) // ours is set already
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
	who, err := s.authenticate(c)
	if err != nil {
		return err
	}
	r := c.Request()
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
	s.gateway.ServeHTTP(c.Response(), r.WithContext(context.WithValue(r.Context(), forwardedKey{}, f)))
	return nil
}

// verify is the forward-auth endpoint: 204 with the identity headers, 401 or 403.
func (s *Server) verify(c echo.Context) error {
	who, err := s.authenticate(c)
	if err != nil {
		return err
	}
	who.SetHeaders(c.Response().Header(), api.RequestID(c.Request()))
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.NoContent(http.StatusNoContent)
}
