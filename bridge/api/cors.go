package api

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/http/httpguts"
)

// varyOrigin is shared by all responses; its capacity equals its length, so appending copies it.
var varyOrigin = []string{"Origin"}

// VaryOrigin marks a response as dependent on the Origin header, even if that origin is not allowed anything.
func VaryOrigin(h http.Header) { h["Vary"] = varyOrigin }

// AllowOrigin lets a page of origin read the response, and answers its preflight.
//
// expose lists the response headers that the page may read. The origin is echoed, never "*". Credentials mode is not allowed:
// our credentials are headers that the page sets, not cookies (Fetch standard, "CORS protocol").
func AllowOrigin(c echo.Context, origin, expose string) error {
	r, h := c.Request(), c.Response().Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", expose)
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
