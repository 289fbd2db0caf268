package cloud

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/web"
)

// confirmPath is the one page of an account whose e-mail address is not proven: the mail can be sent again, and one can sign out.
const confirmPath = "/confirm"

type confirmView struct {
	Email  string
	NoMail bool // the cloud sends none: a provider or the operator proves the address
	Done   string
	Error  string
}

func (c *Cloud) confirmPage(ctx echo.Context) error {
	u, err := c.unproven(ctx)
	if err != nil {
		return ctx.Redirect(http.StatusSeeOther, "/login")
	}
	return c.renderConfirm(ctx, http.StatusOK, confirmView{Email: u.Email})
}

func (c *Cloud) unproven(ctx echo.Context) (accounts.Unproven, error) {
	return c.registry.Sessions.UnprovenSession(ctx.Request().Context(), c.secretOf(ctx, sessionCookie))
}

func (c *Cloud) renderConfirm(ctx echo.Context, status int, view confirmView) error {
	view.NoMail = c.registry.Outbox.CanMail() != nil
	return c.render(ctx, status, "confirm", web.Page{Title: verifyTitle, View: view})
}

func (c *Cloud) confirm(ctx echo.Context) error {
	if err := form(ctx); err != nil {
		return err
	}
	u, err := c.unproven(ctx)
	if err != nil {
		return ctx.Redirect(http.StatusSeeOther, "/login")
	}
	r := ctx.Request()
	if r.PostForm.Get("action") == "sign-out" {
		if err := c.registry.Sessions.EndUnproven(r.Context(), u); err != nil {
			return err
		}
		c.setCookie(ctx, bridge.NewSecret("-"), -time.Second)
		return ctx.Redirect(http.StatusSeeOther, "/login")
	}
	view := confirmView{Email: u.Email}
	if err = c.mails.Allow("user:" + u.ID); err == nil {
		err = c.registry.SignIn.StartVerification(r.Context(), u.ID, anonymous(ctx))
	}
	if err != nil {
		if bridge.AsError(err).Kind == bridge.Internal {
			return err
		}
		view.Error = sentence(err)
		return c.renderConfirm(ctx, api.Status(err), view)
	}
	view.Done = "A link is on its way to " + u.Email + "."
	return c.renderConfirm(ctx, http.StatusOK, view)
}
