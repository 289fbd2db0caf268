package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/who"
)

// The same for programs.

func (v *API) getAddress(ctx echo.Context, p accounts.Principal) error {
	change, err := v.addresses.Pending(ctx.Request().Context(), p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.PendingAddress{Email: change.To, ExpiresAt: change.ExpiresAt})
}

func (v *API) postAddress(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.AddressRequest](ctx)
	if err != nil {
		return err
	}
	change, err := v.who.RequestAddress(ctx, p, addresses.Request{Email: body.Email, Password: body.Password.Secret, OTP: body.OTP})
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusAccepted, api.PendingAddress{Email: change.To, ExpiresAt: change.ExpiresAt})
}

func (v *API) deleteAddress(ctx echo.Context, p accounts.Principal) error {
	if err := v.addresses.Cancel(ctx.Request().Context(), who.Caller(ctx, p)); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}
