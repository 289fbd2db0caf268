package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/who"
)

// accountAPI answers for the caller's own account: who they are, their profile and their e-mail address.
type accountAPI struct {
	who       *who.Finder
	accounts  *accounts.Store
	addresses *addresses.Store
}

func (a *accountAPI) mount(e *echo.Echo) {
	e.GET("/v1/me", a.who.RequireCaller(a.get))
	e.PATCH("/v1/me", a.who.RequirePerson(a.patch))
	e.GET("/v1/me/address", a.who.RequirePerson(a.getAddress))
	e.POST("/v1/me/address", a.who.RequirePerson(a.postAddress))
	e.DELETE("/v1/me/address", a.who.RequirePerson(a.deleteAddress))
}

func (a *accountAPI) get(ctx echo.Context, p accounts.Principal) error {
	me := api.Me{ID: p.UserID, Email: p.Email, Name: p.Name, Org: p.Org, OrgID: p.OrgID, Role: string(p.Role), KeyID: who.KeyID(p),
		Method: p.Method, Scopes: p.Scopes().Strings()}
	if p.Method == accounts.MethodAPIKey {
		me.Email = ""
	} else if p.UserID != "" {
		account, err := a.accounts.Account(ctx.Request().Context(), p.UserID)
		if err != nil {
			return err
		}
		me.Country, me.Currency = account.Country, account.Currency
	}
	if !p.ExpiresAt.IsZero() {
		me.ExpiresAt = new(p.ExpiresAt.UTC())
	}
	return ctx.JSON(http.StatusOK, me)
}

func (a *accountAPI) patch(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.ProfilePatch](ctx)
	if err != nil {
		return err
	}
	account, err := a.accounts.PatchAccount(ctx.Request().Context(), who.Caller(ctx, p), body)
	if err != nil {
		return err
	}
	p.Name = account.Name
	return a.get(ctx, p)
}

func (a *accountAPI) getAddress(ctx echo.Context, p accounts.Principal) error {
	change, err := a.addresses.Pending(ctx.Request().Context(), p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.PendingAddress{Email: change.To, ExpiresAt: change.ExpiresAt})
}

func (a *accountAPI) postAddress(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.AddressRequest](ctx)
	if err != nil {
		return err
	}
	change, err := a.who.RequestAddress(ctx, p, addresses.Request{Email: body.Email, Password: body.Password.Secret, OTP: body.OTP})
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusAccepted, api.PendingAddress{Email: change.To, ExpiresAt: change.ExpiresAt})
}

func (a *accountAPI) deleteAddress(ctx echo.Context, p accounts.Principal) error {
	if err := a.addresses.Cancel(ctx.Request().Context(), who.Caller(ctx, p)); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}
