package server

import (
	"context"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// ready says why the server cannot do its work now, or returns nil.
func (s *Server) ready(ctx context.Context) error {
	if err := s.keys.Trouble(); err != nil {
		return err
	}
	return s.db.Writable(ctx)
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
