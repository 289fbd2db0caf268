package cloud

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/relay"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// routes is the whole surface of the cloud.
func (c *Cloud) routes() *echo.Echo {
	e := api.NewEcho(c.log, api.Web{TrustedProxies: c.cfg.TrustedProxies, OnError: c.page.ErrorPage, Foreign: c.foreign,
		Before: []func(echo.Context) error{page.Strict(relay.IsRelay), c.who.RefuseHosts, c.refuseInTrouble, c.relay.ForgetTerms, c.notOfLinks(c.who.CORS(who.RefuseCrossOrigin(http.NewCrossOriginProtection())))}})

	e.GET("/healthz", api.Healthz)
	e.GET("/readyz", api.Readyz(c.ready))
	e.GET("/static/*", echo.WrapHandler(web.Static()))
	e.GET("/", func(ctx echo.Context) error { return ctx.Redirect(http.StatusSeeOther, "/connections") })
	if c.kept != nil {
		e.GET("/dev/mail", c.devMailPage)
	}
	c.links.Mount(e)
	c.oauth.Mount(e)
	c.sso.Mount(e)
	c.v1.Mount(e)
	c.live.Mount(e)
	c.login.Mount(e)
	c.dashboard.Mount(e)
	c.settings.Mount(e)
	c.docs.Mount(e)
	return e
}

// foreign is what answers at a path that leads through the relay, by any method.
func (c *Cloud) foreign(path string) echo.HandlerFunc {
	if relay.IsRelay(path) {
		return c.relay.RelayCall
	}
	return nil
}

// notOfLinks leaves a check out for the requests of links, which no page can sign.
func (c *Cloud) notOfLinks(check func(echo.Context) error) func(echo.Context) error {
	return func(ctx echo.Context) error {
		if path := ctx.Request().URL.Path; path == api.PathLink || path == api.PathLinkKeys {
			return nil
		}
		return check(ctx)
	}
}
