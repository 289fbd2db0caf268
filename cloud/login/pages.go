package login

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/who"
)

func (lg *Login) logout(ctx echo.Context, p accounts.Principal) error {
	if err := lg.sessions.EndSession(ctx.Request().Context(), who.Caller(ctx, p)); err != nil {
		return err
	}
	lg.who.SetCookie(ctx, bridge.NewSecret("-"), -time.Second)
	return ctx.Redirect(http.StatusSeeOther, "/login")
}
