package cloud

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
)

// routes is the whole surface of the cloud.
func (c *Cloud) routes() *echo.Echo {
	e := api.NewEcho(c.log, api.Web{TrustedProxies: c.cfg.TrustedProxies, OnError: c.errorPage, Foreign: c.foreign,
		Before: []func(echo.Context) error{strict(isRelay), c.refuseHosts, c.refuseInTrouble, c.forgetGrants, c.cors(refuseCrossOrigin(http.NewCrossOriginProtection()))}})

	e.GET("/healthz", api.Healthz)
	e.GET("/readyz", api.Readyz(c.ready))
	e.GET(api.PathMetadata, c.metadata)
	e.GET("/.well-known/jwks.json", c.jwks)
	e.GET("/oauth/authorize", c.authorize)
	e.POST("/oauth/authorize", c.page(c.decideAuthorization))
	e.POST("/oauth/device_authorization", c.oauth(identified(c.deviceAuthorization)))
	e.POST("/oauth/token", c.oauth(c.token))
	e.POST("/oauth/revoke", c.oauth(anyClient(c.revoke)))

	v1 := e.Group("/v1")
	v1.GET("/me", c.member(c.me))
	c.routeSessions(v1)
	v1.GET("/organizations", c.may("organization:read", c.organizations))
	v1.GET("/organizations/:org/trust", c.may("organization:trust", c.trust))
	v1.GET("/organizations/:org/provider", c.may("organization:update", c.getProvider))
	v1.PUT("/organizations/:org/provider", c.may("organization:update", c.putProvider))
	v1.DELETE("/organizations/:org/provider", c.may("organization:update", c.deleteProvider))
	v1.POST("/organizations/:org/provider/check", c.may("organization:update", c.checkProvider))
	v1.POST("/developer-tokens", c.person(c.createDeveloperToken))
	v1.POST("/connections", c.may("connection:create", c.registerConnection))
	v1.GET("/connections", c.may("connection:read", c.listConnections))
	v1.GET("/connections/events", c.may("connection:read", c.connectionEvents))
	v1.GET("/connections/:id", c.may("connection:read", c.getConnection))
	v1.PATCH("/connections/:id", c.may("connection:update", c.patchConnection))
	v1.DELETE("/connections/:id", c.may("connection:delete", c.deleteConnection))
	v1.POST("/connections/:id/credential", c.may("connection:use", c.credential))
	v1.GET("/connections/:id/history", c.may("connection:read", c.connectionHistory))
	v1.GET("/connections/:id/uses", c.may("connection:read", c.connectionUses))
	v1.POST("/connections/:id/check", c.may("connection:read", c.checkConnection))
	c.routeSharing(v1)
	c.routeEnds(v1)
	v1.GET("/revocations", c.may("connection:read", c.undelivered))
	v1.DELETE("/revocations/:id", c.may("connection:delete", c.confirmRevocation))
	v1.GET("/scopes", c.member(c.scopes))
	c.keyHandlers().Routes(e, "/v1/api-keys")
	v1.DELETE("/api-keys/:id", c.keyHandlers().Revoke)
	c.routeOrgs(v1)
	v1.GET("/audit", c.may("audit:read", c.audit))
	v1.GET("/audit/export", c.may("audit:read", c.exportAudit))
	v1.RouteNotFound("/*", func(echo.Context) error { return echo.NewHTTPError(http.StatusNotFound) })

	c.routePages(e)
	return e
}

// foreign is what answers at a path that leads through the relay, by any method.
func (c *Cloud) foreign(path string) echo.HandlerFunc {
	if isRelay(path) {
		return c.relayCall
	}
	return nil
}
