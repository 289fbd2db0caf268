package who

import (
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
)

// aceScript is the one script that pages of other origins may import.
const aceScript = "/static/ace.js"

// CORS lets pages of the origins that the operator allows use the API.
//
// All other requests go through refuse. Such a page acts with the token that it sends, never with a person's cookie: the cookie
// is removed here, since a browser sends it along between two names of one site.
func (w *Finder) CORS(refuse func(echo.Context) error) func(echo.Context) error {
	return func(ctx echo.Context) error {
		r := ctx.Request()
		if len(w.cfg.AllowedOrigins) == 0 || !strings.HasPrefix(r.URL.Path, "/v1/") && r.URL.Path != aceScript {
			return refuse(ctx)
		}
		api.VaryOrigin(ctx.Response().Header())
		origin := r.Header.Get("Origin")
		if w.IsOwnOrigin(origin) || !slices.Contains(w.cfg.AllowedOrigins, origin) {
			return refuse(ctx)
		}
		r.Header.Del("Cookie")
		return api.AllowOrigin(ctx, origin, "*")
	}
}
