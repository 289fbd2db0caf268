package login

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// OfferFirst logs how to add the first person of a fresh cloud: the link for ACE_FIRST_EMAIL, or a command.
func (lg *Login) OfferFirst(ctx context.Context) error {
	if lg.cfg.FirstEmail == "" {
		fresh, err := lg.signup.Fresh(ctx)
		if err == nil && fresh {
			lg.log.Info("nobody has an account yet; add the first person with: ace cloud user add --email ADDRESS --org SLUG, or set ACE_FIRST_EMAIL")
		}
		return err
	}
	link, offered, err := lg.signup.OfferFirst(ctx, lg.cfg.FirstEmail)
	if err == nil && offered {
		lg.log.Warn("nobody has an account yet; open the link to make the first one, within 24 hours", "email", lg.cfg.FirstEmail,
			"link", link.Reveal())
	}
	return err
}

type firstView struct {
	Token, Email string
	Form         signup.First
	Error        string
	Dead         bool
}

const firstTitle = "Make the first account"

func (lg *Login) firstPage(ctx echo.Context) error {
	return lg.renderFirst(ctx, http.StatusOK, firstView{Token: ctx.QueryParam("token")}, nil)
}

func (lg *Login) renderFirst(ctx echo.Context, status int, view firstView, failed error) error {
	email, err := lg.signup.FirstPerson(ctx.Request().Context(), bridge.NewSecret(view.Token))
	if err != nil && bridge.AsError(err).Kind != bridge.NotFound {
		return err
	}
	if view.Email, view.Dead = email, err != nil; view.Dead {
		failed = err
	}
	if failed != nil {
		if who.Ours(failed) {
			return failed
		}
		status, view.Error = api.Status(failed), page.Sentence(failed)
	}
	return lg.page.Render(ctx, status, "first", web.Page{Title: firstTitle, View: view})
}

func (lg *Login) makeFirst(ctx echo.Context) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := firstView{Token: r.PostForm.Get("token"), Form: signup.First{Name: r.PostForm.Get("name"), Org: r.PostForm.Get("org"),
		Password: bridge.NewSecret(r.PostForm.Get("password"))}}
	var s accounts.Session
	err := lg.who.Guess(ctx, func() (err error) { // hashing a password is expensive
		s, err = lg.signup.MakeFirst(r.Context(), bridge.NewSecret(view.Token), view.Form, who.Anonymous(ctx))
		return err
	})
	if err != nil {
		return lg.renderFirst(ctx, http.StatusOK, view, err)
	}
	if err := lg.who.EndBefore(ctx); err != nil {
		return err
	}
	if err := lg.carry(ctx, s); err != nil {
		return err
	}
	return ctx.Redirect(http.StatusSeeOther, "/connections")
}
