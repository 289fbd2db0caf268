package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api/serving"
)

// Healthz answers that the process is running.
func Healthz(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

const readyTimeout = 2 * time.Second

// Readyz reports whether the process should get work: ping succeeds, and it is not about to stop.
func Readyz(ping func(context.Context) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
		defer cancel()
		if err := serving.Leaving(ctx); err != nil {
			return err
		}
		if err := ping(ctx); err != nil {
			if e, ok := errors.AsType[*bridge.Error](err); ok {
				return e
			}
			return bridge.E(bridge.Unavailable, bridge.CodeDatabaseUnreachable, "the database does not answer").Because(err)
		}
		return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
	}
}

// PageLimit returns the page length a request asks for, or 0 for the default. The stores cap it.
func PageLimit(c echo.Context) int {
	n, err := strconv.Atoi(c.QueryParam("limit"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}
