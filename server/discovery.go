package server

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// discovery says what the server is, to anybody; nothing in it is secret and nobody follows it.
func (s *Server) discovery(c echo.Context) error {
	d := api.Discovery{
		Product: "ace", Version: s.cfg.Version, PublicURL: s.cfg.PublicURLs[0], PublicURLs: s.cfg.PublicURLs,
		Exchange: api.DiscoveryExchange{Configured: s.cfg.Trust.Configured()},
		Time:     s.cfg.Now().UTC(),
	}
	d.Capabilities = []string{"api-keys", "access-tokens", "verify"}
	if d.Exchange.Configured {
		d.Exchange.Issuer, d.Exchange.Org, d.Exchange.KeyIDs = s.cfg.Trust.Issuer, s.cfg.Trust.Org, s.cfg.Trust.KeyIDs()
		d.Capabilities = append(d.Capabilities, "exchange")
	}
	if s.gateway != nil {
		d.Capabilities = append(d.Capabilities, "gateway")
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, d)
}

func (s *Server) healthz(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

const readyTimeout = 2 * time.Second

// readyz says whether the server can do its work, which needs the database.
func (s *Server) readyz(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
	defer cancel()
	if err := s.db.PingContext(ctx); err != nil {
		return bridge.E(bridge.Unavailable, "database_unreachable", "the database does not answer").Because(err)
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
}
