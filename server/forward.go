package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/guard"
	"github.com/acebridge/ace/server/link"
)

// Queries with which a proxy says how it passes a refusal on. Without one it gets 401, 403 or 429, since some proxies take any
// other status for a failure of this server.
const (
	refusalStatus = "refusal=status" // it passes on responses of any status: Caddy, Traefik
	refusalHeader = "refusal=header" // it understands 401 and 403, and builds its response from headers: nginx
)

// verify is the forward-auth endpoint: it answers 204 with the identity headers, or 401, 403, or 429 for a key's rate limit.
//
// The request in question is described by headers, which count only if a trusted proxy sent them. If there are rules, nothing
// passes without them.
func (s *Server) verify(c echo.Context) error {
	r := c.Request()
	if err := link.RequireDirect(r.Context()); err != nil {
		return err
	}
	who, err := s.forwardAuth(c)
	if err != nil {
		return s.verdict(c, who, err)
	}
	h := c.Response().Header()
	// A 204 with no-store needs neither header; dropping them keeps the header map in its first bucket.
	delete(h, "Vary")
	delete(h, "X-Content-Type-Options")
	who.SetHeaders(h, api.RequestID(r))
	guard.WarnOfExpiry(h, who, s.cfg.Now())
	h["Cache-Control"] = noStore
	return c.NoContent(http.StatusNoContent)
}

var noStore = []string{"no-store"}

// verdict refuses a request in a form that the proxy can pass on.
func (s *Server) verdict(c echo.Context, who bridge.Identity, err error) error {
	switch c.Request().URL.RawQuery {
	case refusalStatus:
		return s.refused(c, who, err)
	case refusalHeader:
		err = s.refused(c, who, err)
		api.SetRefusal(c.Response().Header(), err)
		return forbidden(err)
	}
	switch bridge.AsError(err).Kind {
	case bridge.Invalid, bridge.TooLarge, bridge.NotAllowed:
		err = forbidden(err)
	}
	return s.refused(c, who, err)
}

// forbidden turns any error but a 401 into a 403.
func forbidden(err error) error {
	e := *bridge.AsError(err)
	if e.Kind != bridge.Unauthenticated {
		e.Kind = bridge.Forbidden
	}
	return &e
}

// forwardAuth decides about the request that a proxy describes.
func (s *Server) forwardAuth(c echo.Context) (bridge.Identity, error) {
	r := c.Request()
	presented, err := guard.Presented(r.Header)
	if err != nil {
		return bridge.Identity{}, err
	}
	if err := guard.CheckReserved(r.Header); err != nil {
		return bridge.Identity{}, err
	}
	if err := checkOriginal(r.Header); err != nil {
		return bridge.Identity{}, err
	}
	var request catalogue.Request
	if s.cfg.Catalogue.HasRules() {
		request.Header = original(r.Header)
		if !api.FromTrusted(r, s.cfg.TrustedProxies) {
			return bridge.Identity{}, bridge.E(bridge.Forbidden, bridge.CodeAccessDenied, "this request is not allowed").Because(
				bridge.E(bridge.Forbidden, bridge.CodeProxyUntrusted, "the proxy is not one of ACE_TRUSTED_PROXIES, so nobody "+
					"vouches for the method and path to decide about").WithHint("set ACE_TRUSTED_PROXIES to the proxy's address"))
		}
		var uri string
		if request.Method, uri, err = originalRequest(r.Header); err != nil {
			return bridge.Identity{}, err
		}
		request.Path, request.RawQuery, _ = strings.Cut(uri, "?")
	}
	return s.verifier.Admit(r.Context(), guard.Call{Presented: presented,
		Use: bridge.Use{Address: c.RealIP(), UserAgent: r.UserAgent()}, Request: request})
}

// checkOriginal refuses what must never pass, with or without rules, from any caller: CONNECT, TRACE, and this server's own
// paths, in any spelling.
func checkOriginal(h http.Header) error {
	for name, values := range h {
		folded := bridge.FoldHeader(name)
		for _, value := range values {
			switch folded {
			case "x-forwarded-method", "x-original-method":
				if guard.Refused(value) {
					return bridge.E(bridge.NotAllowed, bridge.CodeMethodNotAllowed, "the method %.20s is not accepted", value)
				}
			case "x-forwarded-uri", "x-original-uri":
				if path, _, _ := strings.Cut(value, "?"); reservedPath(path) {
					return bridge.E(bridge.Forbidden, bridge.CodePathReserved, "the path belongs to the server and is not the app's").
						WithHint("see configs/ for what the proxy has to pass to the server")
				}
			}
		}
	}
	return nil
}

// original returns the headers of the request in question: those the proxy forwarded, without its own. A header with which a
// client may try to override the method or path stays, so that it is refused.
func original(h http.Header) http.Header {
	h = h.Clone()
	for name := range h {
		folded := bridge.FoldHeader(name)
		if strings.HasPrefix(folded, "x-forwarded-") || folded == "x-original-method" || folded == "x-original-uri" {
			delete(h, name)
		}
	}
	return h
}

const maxURI = 16 << 10

// originalRequest returns the method and URI that a proxy asks about.
//
// They are in X-Forwarded-Method and X-Forwarded-Uri (Caddy, Traefik), or in X-Original-Method and X-Original-Uri (customary with
// nginx). Both may be present if they agree. A repeated header, or two that differ, leave open what the proxy will do and are
// refused.
func originalRequest(h http.Header) (method, uri string, err error) {
	bad := func(why string) (string, string, error) {
		return "", "", bridge.E(bridge.Forbidden, bridge.CodeAccessDenied, "this request is not allowed").Because(
			bridge.E(bridge.Forbidden, bridge.CodeForwardedMalformed, "%s", why).
				WithHint("see configs/ for what the proxy has to send: X-Forwarded-Method and X-Forwarded-Uri"))
	}
	var values [2]string
	for i, names := range [2][2]string{{"x-forwarded-method", "x-original-method"}, {"x-forwarded-uri", "x-original-uri"}} {
		for name, sent := range h {
			if folded := bridge.FoldHeader(name); folded != names[0] && folded != names[1] {
				continue
			}
			for _, value := range sent {
				if value == "" { // proxies blank a header this way
					continue
				}
				if values[i] != "" && values[i] != value || len(sent) > 1 {
					return bad("the headers " + names[0] + " and " + names[1] + " say different things, or one is repeated")
				}
				values[i] = value
			}
		}
		if values[i] == "" {
			return bad("the proxy does not send " + names[0])
		}
	}
	method, uri = values[0], values[1]
	if !catalogue.ValidMethod(method) {
		return bad("the method is malformed")
	}
	path, _, _ := strings.Cut(uri, "?")
	if len(uri) > maxURI || !strings.HasPrefix(path, "/") || strings.ContainsAny(uri, "#\\") || !printableASCII(uri) {
		return bad("the URI is not a path and query")
	}
	if _, err := url.PathUnescape(path); err != nil {
		return bad("the path cannot be read")
	}
	return method, uri, nil
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
