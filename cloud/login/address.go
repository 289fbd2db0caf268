package login

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// addressLinkView is the page of a mailed link. Only people signed in to the account see the change, since the mail may have
// gone to a stranger by mistake.
type addressLinkView struct {
	linkView
	From, To string
	SignIn   string // where to sign in and come back; empty: somebody is signed in
	Foreign  bool   // somebody else is signed in
	Stop     bool
	Done     bool
}

const addressTitle, addressStopTitle = "Confirm your new e-mail address", "Stop the change of your e-mail address"

func (lg *Login) addressPage(ctx echo.Context) error {
	return lg.renderAddress(ctx, http.StatusOK, ctx.QueryParam("token"), nil)
}

func (lg *Login) renderAddress(ctx echo.Context, status int, token string, failed error) error {
	if failed != nil && who.Ours(failed) {
		return failed
	}
	view := addressLinkView{linkView: linkView{Token: token}}
	out := web.Page{Title: addressTitle}
	change, err := lg.addresses.Offered(ctx.Request().Context(), bridge.NewSecret(token), false)
	if err != nil && bridge.AsError(err).Kind != bridge.NotFound {
		return err
	}
	if view.Dead = err != nil; view.Dead && failed == nil {
		failed = err
	}
	if failed != nil {
		status, view.Error = api.Status(failed), page.Sentence(failed)
	}
	p, signedIn, err := lg.who.Visitor(ctx)
	switch {
	case err != nil && bridge.CodeOf(err) != bridge.CodeEmailUnverified:
		return err
	case err != nil || !signedIn:
		view.SignIn = "/login?next=" + url.QueryEscape(addresses.Path+"?token="+url.QueryEscape(token))
	default:
		out.User = page.User(p)
		if view.Foreign = p.UserID != change.UserID; !view.Foreign {
			view.From, view.To = change.From, change.To
		}
	}
	out.View = view
	return lg.page.Render(ctx, status, "address", out)
}

// confirmAddress changes the address and gives the browser a new session; all earlier sessions end.
func (lg *Login) confirmAddress(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	token := r.PostForm.Get("token")
	err := lg.mails.Allow("user:" + p.UserID)
	var s accounts.Session
	if err == nil {
		s, err = lg.addresses.Confirm(r.Context(), who.Caller(ctx, p), bridge.NewSecret(token))
	}
	if err != nil {
		return lg.renderAddress(ctx, api.Status(err), token, err)
	}
	if err := lg.carry(ctx, s); err != nil {
		return err
	}
	return ctx.Redirect(http.StatusSeeOther, "/settings?done=address")
}

func (lg *Login) addressStopPage(ctx echo.Context) error {
	token := ctx.QueryParam("token")
	change, err := lg.addresses.Offered(ctx.Request().Context(), bridge.NewSecret(token), true)
	return lg.renderStop(ctx, addressLinkView{linkView: linkView{Token: token}, To: change.To}, err)
}

func (lg *Login) renderStop(ctx echo.Context, view addressLinkView, err error) error {
	status := http.StatusOK
	if err != nil {
		if who.Ours(err) {
			return err
		}
		status, view.Error, view.Dead = api.Status(err), page.Sentence(err), bridge.AsError(err).Kind == bridge.NotFound
	}
	view.Stop = true
	return lg.page.Render(ctx, status, "address", web.Page{Title: addressStopTitle, View: view})
}

func (lg *Login) stopAddress(ctx echo.Context) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := addressLinkView{linkView: linkView{Token: r.PostForm.Get("token")}}
	err := lg.mails.Allow(bridge.AddressKey(ctx.RealIP()))
	if err == nil {
		err = lg.addresses.Stop(r.Context(), bridge.NewSecret(view.Token), who.Anonymous(ctx))
	}
	view.Done = err == nil
	return lg.renderStop(ctx, view, err)
}
