package server

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/http/httpguts"

	"github.com/acebridge/ace/bridge"
)

// cors lets the dashboard of the trusted cloud, and the origins that the operator named, call from a browser. Origins
// are echoed one by one, never "*"; credentials mode is not allowed, since our credentials are headers that the page
// sets and never cookies (Fetch standard, "CORS protocol").
func (s *Server) cors(c echo.Context) error {
	r, h := c.Request(), c.Response().Header()
	h["Vary"] = varyOrigin
	origin := r.Header.Get("Origin")
	if origin == "" || !s.allowsOrigin(origin) {
		return nil
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "X-Request-Id, WWW-Authenticate, Retry-After, "+bridge.HeaderKeyExpires)
	method := r.Header.Get("Access-Control-Request-Method")
	if r.Method != http.MethodOptions || method == "" {
		return nil
	}
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	if httpguts.ValidHeaderFieldName(method) {
		h.Set("Access-Control-Allow-Methods", method)
	}
	if wanted := r.Header.Get("Access-Control-Request-Headers"); wanted != "" && httpguts.ValidHeaderFieldValue(wanted) {
		h.Set("Access-Control-Allow-Headers", wanted)
	}
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
	h.Set("Access-Control-Max-Age", "600")
	return c.NoContent(http.StatusNoContent)
}

var varyOrigin = []string{"Origin"} // no room: who adds a value gets a copy

// allowsOrigin knows the dashboard of a cloud on loopback under each of its names, since people open it by any of them.
func (s *Server) allowsOrigin(origin string) bool {
	if slices.Contains(s.cfg.AllowedOrigins, origin) {
		return true
	}
	if !s.cfg.Trust.Configured() {
		return false
	}
	dashboard := s.cfg.Trust.Issuer.Origin()
	asked, err := bridge.CanonicalURL(origin)
	return err == nil && string(asked) == origin && asked.Same(bridge.ServerURL(dashboard))
}
