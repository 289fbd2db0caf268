package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/keyhttp"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/who"
)

// keyAPI answers for the API keys of this cloud; keyhttp has the handlers, as on a server.
type keyAPI struct {
	who     *who.Finder
	keys    *keys.Authority
	servers *servers.Servers // lists what the end of a key ends on servers
}

func (k *keyAPI) mount(e *echo.Echo) {
	handlers := k.handlers()
	handlers.Routes(e, "/v1/api-keys")
	e.DELETE("/v1/api-keys/:id", handlers.Revoke)
	e.GET("/v1/scopes", k.who.RequireCaller(k.scopes))
}

func (k *keyAPI) handlers() keyhttp.Handlers {
	return keyhttp.Handlers{Keys: k.keys, Ends: k.servers.EndsOfKeys, Authorize: func(ctx echo.Context, need keyhttp.Need) (keys.By, error) {
		p, err := k.who.Principal(ctx)
		if err != nil {
			return keys.By{}, err
		}
		ctx.Response().Header().Set("Cache-Control", "no-store")
		by := k.who.By(ctx, p)
		if scope := need(by.Who); scope != "" {
			err = p.RequireScope(scope)
		}
		return by, err
	}}
}

// scopes answers the catalogue of this cloud, for forms and for help.
func (k *keyAPI) scopes(ctx echo.Context, _ accounts.Principal) error {
	return ctx.JSON(http.StatusOK, accounts.Scopes.File())
}
