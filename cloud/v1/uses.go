package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
)

func (v *API) connectionHistory(ctx echo.Context, p accounts.Principal) error {
	history, err := v.connections.History(ctx.Request().Context(), p, ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, history)
}

func (v *API) connectionUses(ctx echo.Context, p accounts.Principal) error {
	uses, err := v.accessTokens.MemberUses(ctx.Request().Context(), p, ctx.Param("id"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.MemberUse]{Items: uses})
}
