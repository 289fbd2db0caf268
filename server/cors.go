package server

import (
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

const exposedHeaders = "X-Request-Id, WWW-Authenticate, Retry-After, " + bridge.HeaderKeyExpires

// cors lets the trusted cloud's dashboard, and the origins that the operator configured, call from a browser.
func (s *Server) cors(c echo.Context) error {
	api.VaryOrigin(c.Response().Header())
	origin := c.Request().Header.Get("Origin")
	if origin == "" || !s.allowsOrigin(origin) {
		return nil
	}
	return api.AllowOrigin(c, origin, exposedHeaders)
}

// allowsOrigin accepts the dashboard of a cloud on loopback under any of its names, since people use them all.
func (s *Server) allowsOrigin(origin string) bool {
	if slices.Contains(s.cfg.AllowedOrigins, origin) {
		return true
	}
	trusted := s.trust.now()
	if !trusted.Configured() {
		return false
	}
	dashboard := trusted.Issuer.Origin()
	asked, err := bridge.CanonicalURL(origin)
	return err == nil && string(asked) == origin && asked.Same(bridge.ServerURL(dashboard))
}
