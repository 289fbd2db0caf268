package server

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
)

// discovery says what the server is, to anyone. Nothing in it is secret, and nothing is trusted because of it.
func (s *Server) discovery(c echo.Context) error {
	trusted := s.trust.now()
	d := api.Discovery{
		Product: "ace", Version: s.cfg.Version, PublicURL: s.cfg.PublicURLs[0], PublicURLs: s.cfg.PublicURLs,
		Exchange: api.DiscoveryExchange{Configured: trusted.Configured()},
		Time:     s.cfg.Now().UTC(),
	}
	d.Capabilities = []string{"api-keys", "access-tokens", "verify", api.CapabilityNumberedWithdrawals, api.CapabilityLineage}
	if d.Exchange.Configured {
		d.Exchange.Issuer, d.Exchange.Org, d.Exchange.KeyIDs = trusted.Issuer, trusted.Org, trusted.KeyIDs()
		d.Capabilities = append(d.Capabilities, "exchange")
	}
	if s.links.Linked() {
		d.Capabilities, d.ServerID = append(d.Capabilities, api.CapabilityTunnel), s.links.ServerID()
	}
	if s.gateway != nil {
		d.Capabilities = append(d.Capabilities, "gateway")
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, d)
}
