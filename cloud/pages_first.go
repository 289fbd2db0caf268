package cloud

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/web"
)

// offerFirst tells the operator of a fresh cloud how to add the first person: with the link for the address in
// ACE_FIRST_EMAIL, or by a command.
func (c *Cloud) offerFirst(ctx context.Context) error {
	if c.cfg.FirstEmail == "" {
		fresh, err := c.registry.SignIn.Fresh(ctx)
		if err == nil && fresh {
			c.log.Info("nobody has an account yet; add the first person with: ace cloud user add --email ADDRESS --org SLUG, or set ACE_FIRST_EMAIL")
		}
		return err
	}
	link, offered, err := c.registry.SignIn.OfferFirst(ctx, c.cfg.FirstEmail)
	if err == nil && offered {
		c.log.Warn("nobody has an account yet; open the link to make the first one, within 24 hours", "email", c.cfg.FirstEmail,
			"link", link.Reveal())
	}
	return err
}

type firstView struct {
	Token, Email string
	Form         signin.First
	Error        string
	Dead         bool
}

const firstTitle = "Make the first account"

func (c *Cloud) firstPage(ctx echo.Context) error {
	return c.renderFirst(ctx, http.StatusOK, firstView{Token: ctx.QueryParam("token")}, nil)
}

func (c *Cloud) renderFirst(ctx echo.Context, status int, view firstView, failed error) error {
	email, err := c.registry.SignIn.FirstPerson(ctx.Request().Context(), bridge.NewSecret(view.Token))
	if err != nil && bridge.AsError(err).Kind != bridge.NotFound {
		return err
	}
	if view.Email, view.Dead = email, err != nil; view.Dead {
		failed = err
	}
	if failed != nil {
		if ours(failed) {
			return failed
		}
		status, view.Error = api.Status(failed), sentence(failed)
	}
	return c.render(ctx, status, "first", web.Page{Title: firstTitle, View: view})
}

func (c *Cloud) makeFirst(ctx echo.Context) error {
	if err := form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := firstView{Token: r.PostForm.Get("token"), Form: signin.First{Name: r.PostForm.Get("name"), Org: r.PostForm.Get("org"),
		Password: bridge.NewSecret(r.PostForm.Get("password"))}}
	var s accounts.Session
	err := c.guess(ctx, func() (err error) { // a password is hashed
		s, err = c.registry.SignIn.MakeFirst(r.Context(), bridge.NewSecret(view.Token), view.Form, anonymous(ctx))
		return err
	})
	if err != nil {
		return c.renderFirst(ctx, http.StatusOK, view, err)
	}
	if err := c.endBefore(ctx); err != nil {
		return err
	}
	if err := c.carry(ctx, s); err != nil {
		return err
	}
	return ctx.Redirect(http.StatusSeeOther, "/connections")
}
