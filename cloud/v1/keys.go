package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/keyhttp"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
)

func (v *API) keyHandlers() keyhttp.Handlers {
	return keyhttp.Handlers{Keys: v.keys, Ends: v.servers.EndsOfKeys, Authorize: func(ctx echo.Context, need keyhttp.Need) (keys.By, error) {
		p, err := v.who.Principal(ctx)
		if err != nil {
			return keys.By{}, err
		}
		ctx.Response().Header().Set("Cache-Control", "no-store")
		who := v.who.By(ctx, p)
		if scope := need(who.Who); scope != "" {
			err = p.RequireScope(scope)
		}
		return who, err
	}}
}

// scopes is the catalogue of this cloud: for forms, and for help.
func (v *API) scopes(ctx echo.Context, _ accounts.Principal) error {
	return ctx.JSON(http.StatusOK, accounts.Scopes.File())
}
