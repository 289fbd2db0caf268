package server

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
)

const discoveryPath, verifyPath = "/.well-known/ace-server", "/ace/v1/verify"

// routes is the whole surface of the server: its own endpoints under /ace, and everything else to the upstream.
func (s *Server) routes() *echo.Echo {
	e := api.NewEcho(s.log, api.Web{TrustedProxies: s.cfg.TrustedProxies, Foreign: foreign,
		Before: []func(echo.Context) error{refuseOddRequests, s.cors}})

	e.GET(discoveryPath, s.discovery)
	e.GET("/ace/healthz", api.Healthz)
	e.GET("/ace/readyz", api.Readyz(s.db.PingContext))

	e.POST("/ace/v1/exchange", s.exchangeToken)
	s.keyHandlers().Routes(e, "/ace/v1/api-keys")
	e.DELETE("/ace/v1/api-keys/:id", s.revokeKey)
	e.DELETE("/ace/v1/api-keys/:id/access-tokens", s.withdrawTokens)
	e.GET("/ace/v1/scopes", s.scopes)
	e.POST("/ace/v1/leaks", s.reportLeaks)

	e.GET("/ace/v1/me", s.me)
	e.Any(verifyPath, s.verify)
	e.POST("/ace/v1/introspect", s.introspect)
	e.GET("/ace/v1/revocations", s.revocations)

	e.GET("/ace/v1/audit", s.audit)
	e.GET("/ace/v1/refusals/:id", s.refusal)

	own := func(echo.Context) error { return echo.NewHTTPError(http.StatusNotFound) }
	e.Any("/ace", own)
	e.Any("/ace/*", own)
	e.Any("/*", s.proxy)
	return e
}

// foreign reports whether an escaped path is the app's and not our own. A proxy may ask for a verdict with the app's query.
func foreign(path string) bool {
	return path == verifyPath || (path != discoveryPath && path != "/ace" && !strings.HasPrefix(path, "/ace/"))
}
