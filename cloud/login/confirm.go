package login

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

type confirmView struct {
	Email  string
	NoMail bool // the cloud sends no mail: a provider or the operator verifies the address
	Done   string
	Error  string
}

func (lg *Login) confirmPage(ctx echo.Context) error {
	u, err := lg.unproven(ctx)
	if err != nil {
		return ctx.Redirect(http.StatusSeeOther, "/login")
	}
	return lg.renderConfirm(ctx, http.StatusOK, confirmView{Email: u.Email})
}

func (lg *Login) unproven(ctx echo.Context) (accounts.Unproven, error) {
	return lg.sessions.UnprovenSession(ctx.Request().Context(), lg.who.SecretOf(ctx, who.SessionCookie))
}

func (lg *Login) renderConfirm(ctx echo.Context, status int, view confirmView) error {
	view.NoMail = !lg.outbox.SendsMail()
	return lg.page.Render(ctx, status, "confirm", web.Page{Title: verifyTitle, View: view})
}

func (lg *Login) confirm(ctx echo.Context) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	u, err := lg.unproven(ctx)
	if err != nil {
		return ctx.Redirect(http.StatusSeeOther, "/login")
	}
	r := ctx.Request()
	if r.PostForm.Get("action") == "sign-out" {
		if err := lg.sessions.EndUnproven(r.Context(), u); err != nil {
			return err
		}
		lg.who.SetCookie(ctx, bridge.NewSecret("-"), -time.Second)
		return ctx.Redirect(http.StatusSeeOther, "/login")
	}
	view := confirmView{Email: u.Email}
	if err = lg.mails.Allow("user:" + u.ID); err == nil {
		err = lg.links.StartVerification(r.Context(), u.ID, who.Anonymous(ctx))
	}
	if err != nil {
		if bridge.AsError(err).Kind == bridge.Internal {
			return err
		}
		view.Error = page.Sentence(err)
		return lg.renderConfirm(ctx, api.Status(err), view)
	}
	view.Done = "A link is on its way to " + u.Email + "."
	return lg.renderConfirm(ctx, http.StatusOK, view)
}
