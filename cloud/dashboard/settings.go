package dashboard

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
)

// routeSettings is what people set for themselves and admins for their organization, a page for each thing.
func (d *Dashboard) routeSettings(e *echo.Echo) {
	e.GET("/settings", d.page.SignedIn(d.profilePage))
	e.POST("/settings", d.page.SignedIn(d.changeProfile))
	e.POST("/settings/address", d.page.SignedIn(d.changeAddress))
	e.GET("/settings/security", d.page.SignedIn(d.securityPage))
	e.POST("/settings/security", d.page.SignedIn(d.changeSecurity))
	e.GET("/settings/sessions", d.page.SignedIn(d.sessionsPage))
	e.POST("/settings/sessions", d.page.SignedIn(d.changeSessions))
	e.GET("/settings/token", d.page.SignedIn(d.tokenPage))
	e.POST("/settings/token", d.page.SignedIn(d.showToken))
	e.GET("/settings/trust", d.page.SignedIn(d.trustPage))
	e.POST("/settings/trust", d.page.SignedIn(d.showSharedSecret))
}

type profileView struct {
	Role      string
	ExpiresAt time.Time
	Account   accounts.Account
	Error     string
	Address   addressView
}

// profileDone are the messages that the page may be opened with; the query only chooses one.
var profileDone = map[string]string{"address": "Your e-mail address was changed, and all your other sessions have ended."}

func (d *Dashboard) profilePage(ctx echo.Context, p accounts.Principal) error {
	return d.profile(ctx, p, profileDone[ctx.QueryParam("done")])
}

func (d *Dashboard) profile(ctx echo.Context, p accounts.Principal, done string) error {
	return d.profileWith(ctx, p, http.StatusOK, done, addressView{})
}

func (d *Dashboard) profileWith(ctx echo.Context, p accounts.Principal, status int, done string, address addressView) error {
	account, err := d.accounts.Account(ctx.Request().Context(), p.UserID)
	if err != nil {
		return err
	}
	return d.renderProfile(ctx, p, status, done, profileView{Account: account, Address: address})
}

func (d *Dashboard) renderProfile(ctx echo.Context, p accounts.Principal, status int, done string, view profileView) error {
	view.Address.TwoFactor = view.Account.TwoFactor
	var err error
	if view.Address, err = d.addressSection(ctx, p, view.Address); err != nil {
		return err
	}
	view.Role, view.ExpiresAt = string(p.Role), p.ExpiresAt.UTC()
	return d.page.RenderSettings(ctx, p, status, "settings", done, view)
}

func (d *Dashboard) changeProfile(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	name, country, currency := r.PostForm.Get("name"), r.PostForm.Get("country"), r.PostForm.Get("currency")
	_, err := d.accounts.PatchAccount(r.Context(), who.Caller(ctx, p), api.ProfilePatch{Name: &name, Country: &country, Currency: &currency})
	if err != nil {
		if who.Ours(err) {
			return err
		}
		account, aerr := d.accounts.Account(r.Context(), p.UserID)
		if aerr != nil {
			return aerr
		}
		account.Name, account.Country, account.Currency = name, country, currency
		return d.renderProfile(ctx, p, api.Status(err), "", profileView{Error: page.Sentence(err), Account: account})
	}
	return d.profile(ctx, p, "Your profile is saved.")
}

type tokenView struct {
	Token     string // shown this once
	ExpiresAt time.Time
	CloudURL  bridge.ServerURL
}

func (d *Dashboard) tokenPage(ctx echo.Context, p accounts.Principal) error {
	return d.page.RenderSettings(ctx, p, http.StatusOK, "token", "", tokenView{})
}

func (d *Dashboard) showToken(ctx echo.Context, p accounts.Principal) error {
	token, err := d.who.DeveloperToken(ctx, p)
	if err != nil {
		return err
	}
	return d.page.RenderSettings(ctx, p, http.StatusOK, "token", "",
		tokenView{Token: token.Token.Reveal(), ExpiresAt: token.ExpiresAt, CloudURL: d.cfg.PublicURL})
}

type sessionsView struct {
	Sessions []api.Session
	Error    string
}

func (d *Dashboard) sessionsPage(ctx echo.Context, p accounts.Principal) error {
	return d.sessionsOf(ctx, p, "", nil)
}

// sessionsOf shows the sessions, with what went right or wrong.
func (d *Dashboard) sessionsOf(ctx echo.Context, p accounts.Principal, done string, failed error) error {
	var view sessionsView
	status := http.StatusOK
	if failed != nil {
		if who.Ours(failed) {
			return failed
		}
		status, view.Error, done = api.Status(failed), page.Sentence(failed), ""
	}
	var err error
	if view.Sessions, err = d.sessions.Sessions(ctx.Request().Context(), p); err != nil {
		return err
	}
	return d.page.RenderSettings(ctx, p, status, "sessions", done, view)
}

func (d *Dashboard) changeSessions(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	switch r.PostForm.Get("action") {
	case "end":
		return d.sessionsOf(ctx, p, "That session has ended.", d.sessions.EndSessionByID(r.Context(), who.Caller(ctx, p), r.PostForm.Get("id")))
	case "end-others":
		return d.sessionsOf(ctx, p, "All other sessions have ended.", d.sessions.EndSessions(r.Context(), who.Caller(ctx, p), false))
	}
	return bridge.E(bridge.Invalid, bridge.CodeFormMalformed, "the form does not say what to do")
}
