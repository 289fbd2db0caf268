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

// routeSettings is what people set for themselves and admins for their organization, a page for each thing.
func (c *Cloud) routeSettings(e *echo.Echo) {
	e.GET("/settings", c.page(c.profilePage))
	e.POST("/settings", c.page(c.changeProfile))
	e.POST("/settings/address", c.page(c.changeAddress))
	e.GET("/settings/security", c.page(c.securityPage))
	e.POST("/settings/security", c.page(c.changeSecurity))
	e.GET("/settings/sessions", c.page(c.sessionsPage))
	e.POST("/settings/sessions", c.page(c.changeSessions))
	e.GET("/settings/token", c.page(c.tokenPage))
	e.POST("/settings/token", c.page(c.showToken))
	e.GET("/settings/trust", c.page(c.trustPage))
	e.POST("/settings/trust", c.page(c.showSharedSecret))
}

// settingsTitles are the titles of the pages of settings, by template.
var settingsTitles = map[string]string{"settings": "Profile", "security": "Security", "sessions": "Sessions", "token": "Developer token",
	"trust": "Trust for a server", "provider": "Sign-in provider"}

// renderSettings writes one of the settings' pages; its title is its name in their menu.
func (c *Cloud) renderSettings(ctx echo.Context, p accounts.Principal, status int, name, done string, view any) error {
	return c.render(ctx, status, name, web.Page{Title: settingsTitles[name], Path: "/settings", User: user(p), Flash: done, View: view})
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

func (c *Cloud) profilePage(ctx echo.Context, p accounts.Principal) error {
	return c.profile(ctx, p, profileDone[ctx.QueryParam("done")])
}

func (c *Cloud) profile(ctx echo.Context, p accounts.Principal, done string) error {
	return c.profileWith(ctx, p, http.StatusOK, done, addressView{})
}

func (c *Cloud) profileWith(ctx echo.Context, p accounts.Principal, status int, done string, address addressView) error {
	account, err := c.registry.Accounts.Account(ctx.Request().Context(), p.UserID)
	if err != nil {
		return err
	}
	return c.renderProfile(ctx, p, status, done, profileView{Account: account, Address: address})
}

func (c *Cloud) renderProfile(ctx echo.Context, p accounts.Principal, status int, done string, view profileView) error {
	view.Address.TwoFactor = view.Account.TwoFactor
	var err error
	if view.Address, err = c.addressSection(ctx, p, view.Address); err != nil {
		return err
	}
	view.Role, view.ExpiresAt = string(p.Role), p.ExpiresAt.UTC()
	return c.renderSettings(ctx, p, status, "settings", done, view)
}

func (c *Cloud) changeProfile(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	name, country, currency := r.PostForm.Get("name"), r.PostForm.Get("country"), r.PostForm.Get("currency")
	_, err := c.registry.Accounts.PatchAccount(r.Context(), caller(ctx, p), api.ProfilePatch{Name: &name, Country: &country, Currency: &currency})
	if err != nil {
		if ours(err) {
			return err
		}
		account, aerr := c.registry.Accounts.Account(r.Context(), p.UserID)
		if aerr != nil {
			return aerr
		}
		account.Name, account.Country, account.Currency = name, country, currency
		return c.renderProfile(ctx, p, api.Status(err), "", profileView{Error: sentence(err), Account: account})
	}
	return c.profile(ctx, p, "Your profile is saved.")
}

type tokenView struct {
	Token     string // shown this once
	ExpiresAt time.Time
	CloudURL  bridge.ServerURL
}

func (c *Cloud) tokenPage(ctx echo.Context, p accounts.Principal) error {
	return c.renderSettings(ctx, p, http.StatusOK, "token", "", tokenView{})
}

func (c *Cloud) showToken(ctx echo.Context, p accounts.Principal) error {
	token, err := c.developerToken(ctx, p)
	if err != nil {
		return err
	}
	return c.renderSettings(ctx, p, http.StatusOK, "token", "",
		tokenView{Token: token.Token.Reveal(), ExpiresAt: token.ExpiresAt, CloudURL: c.cfg.PublicURL})
}

type sessionsView struct {
	Sessions []api.Session
	Error    string
}

func (c *Cloud) sessionsPage(ctx echo.Context, p accounts.Principal) error {
	return c.sessionsOf(ctx, p, "", nil)
}

// sessionsOf shows the sessions, with what went right or wrong.
func (c *Cloud) sessionsOf(ctx echo.Context, p accounts.Principal, done string, failed error) error {
	var view sessionsView
	status := http.StatusOK
	if failed != nil {
		if ours(failed) {
			return failed
		}
		status, view.Error, done = api.Status(failed), sentence(failed), ""
	}
	var err error
	if view.Sessions, err = c.registry.Sessions.Sessions(ctx.Request().Context(), p); err != nil {
		return err
	}
	return c.renderSettings(ctx, p, status, "sessions", done, view)
}

func (c *Cloud) changeSessions(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	switch r.PostForm.Get("action") {
	case "end":
		return c.sessionsOf(ctx, p, "That session has ended.", c.registry.Sessions.EndSessionByID(r.Context(), caller(ctx, p), r.PostForm.Get("id")))
	case "end-others":
		return c.sessionsOf(ctx, p, "All other sessions have ended.", c.registry.Sessions.EndSessions(r.Context(), caller(ctx, p), false))
	}
	return bridge.E(bridge.Invalid, bridge.CodeFormMalformed, "the form does not say what to do")
}
