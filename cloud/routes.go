package cloud

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/web"
)

// routes is the whole surface of the cloud.
func (c *Cloud) routes() *echo.Echo {
	e := api.NewEcho(c.log, api.Web{TrustedProxies: c.cfg.TrustedProxies, OnError: c.errorPage, Foreign: c.foreign,
		Before: []func(echo.Context) error{strict(isRelay), c.refuseHosts, c.refuseInTrouble, c.forgetGrants, c.cors(refuseCrossOrigin(http.NewCrossOriginProtection()))}})

	e.GET("/healthz", api.Healthz)
	e.GET("/readyz", api.Readyz(c.ready))
	e.GET("/static/*", echo.WrapHandler(web.Static()))
	e.GET("/", func(ctx echo.Context) error { return ctx.Redirect(http.StatusSeeOther, "/connections") })
	if c.kept != nil {
		e.GET("/dev/mail", c.devMailPage)
	}
	c.mountOAuth(e)
	c.mountProviders(e)
	c.mountAPI(e)
	c.mountEvents(e)
	c.mountLogin(e)
	c.mountDashboard(e)
	return e
}

// foreign is what answers at a path that leads through the relay, by any method.
func (c *Cloud) foreign(path string) echo.HandlerFunc {
	if isRelay(path) {
		return c.relayCall
	}
	return nil
}
