package server

import (
	"context"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/server/link"
)

// ready answers whether the server does its work now, for load balancers: those of its port exclude the tunnel.
func (s *Server) ready(c echo.Context) error {
	if _, over := link.Over(c.Request().Context()); over || c.QueryParam("exclude") == "tunnel" {
		return api.Readyz(func(ctx context.Context) error { return working(ctx, s) })(c)
	}
	return api.Readyz(func(ctx context.Context) error { return reached(ctx, s) })(c)
}

// working says why the server cannot answer requests now, or returns nil.
func working(ctx context.Context, s *Server) error {
	if err := s.keys.Trouble(); err != nil {
		return err
	}
	return s.db.Writable(ctx)
}

// reached is working, and says why the cloud does not reach the app over a link, where one is wanted.
func reached(ctx context.Context, s *Server) error {
	if err := working(ctx, s); err != nil {
		return err
	}
	if err := s.links.Ready(); err != nil {
		return err
	}
	if !s.links.Wanted() {
		return nil
	}
	if app := s.app.now(ctx); app.State == api.AppDown {
		return bridge.E(bridge.Unavailable, bridge.CodeAppDown, "the app behind this server does not answer: %s", app.Cause).
			WithHint("check that it runs at the address in ACE_UPSTREAM_URL")
	}
	return nil
}

// tellNumbers puts this server's change numbers into a response to the cloud, so that the cloud can notice if the database later
// falls behind them.
func (s *Server) tellNumbers(c echo.Context, kind bridge.KeyKind) {
	if kind != bridge.KindSK {
		return
	}
	n := s.keys.Numbers()
	c.Response().Header().Set(api.HeaderGeneration, strconv.FormatInt(n.Last, 10))
	if n.Restored != 0 {
		c.Response().Header().Set(api.HeaderRestored, strconv.FormatInt(n.Restored, 10))
	}
}
