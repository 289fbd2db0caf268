package api

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/http/httpguts"
)

// varyOrigin has no room: who adds a value gets a copy.
var varyOrigin = []string{"Origin"}

// VaryOrigin says that an answer depends on the origin that asks, also where that origin is allowed nothing.
func VaryOrigin(h http.Header) { h["Vary"] = varyOrigin }

// AllowOrigin lets the page of an origin read the answer to a request, with the headers that expose names, and answers the
// preflight of one. Origins are echoed one by one, never "*"; credentials mode is not allowed, since our credentials are
// headers that the page sets and never cookies (Fetch standard, "CORS protocol").
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
