package settings

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
)

// profile is the page of a person's name, country and currency, and of their e-mail address.
type profile struct {
	page      *page.Writer
	who       *who.Finder
	accounts  *accounts.Store
	addresses *addresses.Store
}

func (pr *profile) mount(e *echo.Echo) {
	e.GET("/settings", pr.page.SignedIn(pr.show))
	e.POST("/settings", pr.page.SignedIn(pr.change))
	e.POST("/settings/address", pr.page.SignedIn(pr.changeAddress))
}

type profileView struct {
	Role      string
	ExpiresAt time.Time
	Account   accounts.Account
	Error     string
	Address   addressView
}

// profileDone are the messages that the query "done" chooses from.
var profileDone = map[string]string{"address": "Your e-mail address was changed, and all your other sessions have ended."}

func (pr *profile) show(ctx echo.Context, p accounts.Principal) error {
	return pr.done(ctx, p, profileDone[ctx.QueryParam("done")])
}

func (pr *profile) done(ctx echo.Context, p accounts.Principal, done string) error {
	return pr.showAddress(ctx, p, http.StatusOK, done, addressView{})
}

func (pr *profile) showAddress(ctx echo.Context, p accounts.Principal, status int, done string, address addressView) error {
	account, err := pr.accounts.Account(ctx.Request().Context(), p.UserID)
	if err != nil {
		return err
	}
	return pr.render(ctx, p, status, done, profileView{Account: account, Address: address})
}

func (pr *profile) render(ctx echo.Context, p accounts.Principal, status int, done string, view profileView) error {
	view.Address.TwoFactor = view.Account.TwoFactor
	var err error
	if view.Address, err = pr.withAddress(ctx, p, view.Address); err != nil {
		return err
	}
	view.Role, view.ExpiresAt = string(p.Role), p.ExpiresAt.UTC()
	return pr.page.RenderSettings(ctx, p, status, "settings", done, view)
}

func (pr *profile) change(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	name, country, currency := r.PostForm.Get("name"), r.PostForm.Get("country"), r.PostForm.Get("currency")
	_, err := pr.accounts.PatchAccount(r.Context(), who.Caller(ctx, p), api.ProfilePatch{Name: &name, Country: &country, Currency: &currency})
	if err != nil {
		if who.Ours(err) {
			return err
		}
		account, aerr := pr.accounts.Account(r.Context(), p.UserID)
		if aerr != nil {
			return aerr
		}
		account.Name, account.Country, account.Currency = name, country, currency
		return pr.render(ctx, p, api.Status(err), "", profileView{Error: page.Sentence(err), Account: account})
	}
	return pr.done(ctx, p, "Your profile is saved.")
}
