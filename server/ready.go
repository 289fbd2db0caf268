package server

import (
	"context"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// ready reports why the server cannot do its work now; nil where it can.
func (s *Server) ready(ctx context.Context) error {
	if err := s.keys.Trouble(); err != nil {
		return err
	}
	return s.db.Writable(ctx)
}

// tellNumbers tells the cloud how far the changes of this server have come, in an answer to it: should the database be behind
// that one day, the cloud knows.
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
