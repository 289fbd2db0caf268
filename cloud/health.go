package cloud

import (
	"context"
	"strings"

	"github.com/labstack/echo/v4"
)

// ready reports why the cloud cannot do its work now; nil where it can.
func (c *Cloud) ready(ctx context.Context) error {
	if err := c.keys.Trouble(); err != nil {
		return err
	}
	return c.db.Writable(ctx)
}

// refuseInTrouble refuses everything that asks for a session, a key or a code while the time or the database is not to be
// trusted. What needs none of these is answered.
func (c *Cloud) refuseInTrouble(ctx echo.Context) error {
	path := ctx.Request().URL.Path
	if path == "/healthz" || path == "/readyz" || strings.HasPrefix(path, "/.well-known/") || strings.HasPrefix(path, "/static/") {
		return nil
	}
	return c.keys.Trouble()
}
