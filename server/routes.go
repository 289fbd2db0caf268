package server

import (
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
)

const discoveryPath, verifyPath = "/.well-known/ace-server", "/ace/v1/verify"

// routes returns everything the server answers: its own endpoints below /ace, and the app for all other paths.
func (s *Server) routes() *echo.Echo {
	e := api.NewEcho(s.log, api.Web{TrustedProxies: s.cfg.TrustedProxies, Foreign: s.foreign,
		Before: []func(echo.Context) error{refuseOddRequests, s.cors}})

	e.GET(discoveryPath, s.discovery)
	e.GET("/ace/healthz", api.Healthz)
	e.GET("/ace/readyz", s.ready)

	e.POST("/ace/v1/exchange", s.exchangeToken)
	s.keyHandlers().Routes(e, "/ace/v1/api-keys")
	e.DELETE("/ace/v1/api-keys/:id", s.revokeKey)
	e.DELETE("/ace/v1/api-keys/:id/access-tokens", s.withdrawTokens)
	e.GET("/ace/v1/scopes", s.scopes)
	e.POST("/ace/v1/leaks", s.reportLeaks)

	e.GET("/ace/v1/me", s.me)
	e.POST("/ace/v1/introspect", s.introspect)
	e.GET("/ace/v1/revocations", s.revocations)

	e.GET("/ace/v1/audit", s.audit)
	e.GET("/ace/v1/refusals/:id", s.refusal)
	return e
}

// foreign returns the handler of an escaped path that belongs to the app, for any method; nil means that the path is our own.
// Forward-auth is included, since a proxy may ask for a verdict with the app's query.
func (s *Server) foreign(path string) echo.HandlerFunc {
	switch {
	case path == verifyPath:
		return s.verify
	case reservedPath(path):
		return nil
	}
	return s.proxy
}

// reservedPath reports whether a path could be read as the server's own by a proxy in front or by the app: after unescaping, with
// other slashes, without dot segments or parameters, in any case.
func reservedPath(escaped string) bool {
	if clean := len(escaped) > 1 && escaped[1] != 'a' && escaped[1] != 'A' && !strings.ContainsAny(escaped, `%\;.`) &&
		!strings.Contains(escaped, "//"); clean {
		return false // most paths
	}
	plain, err := url.PathUnescape(escaped)
	if err != nil {
		plain = escaped
	}
	var parts []string
	for segment := range strings.SplitSeq(strings.ReplaceAll(plain, `\`, "/"), "/") {
		name, _, _ := strings.Cut(segment, ";")
		switch name {
		case "", ".":
		case "..":
			parts = parts[:max(0, len(parts)-1)]
		default:
			parts = append(parts, name)
		}
	}
	return len(parts) > 0 && strings.EqualFold(parts[0], "ace") ||
		len(parts) > 1 && strings.EqualFold(strings.Join(parts[:2], "/"), discoveryPath[1:])
}
