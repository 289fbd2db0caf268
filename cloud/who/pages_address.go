package who

import (
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
)

// RequestAddress asks to change the caller's e-mail address, within the limit on mails.
func (w *Finder) RequestAddress(ctx echo.Context, p accounts.Principal, n addresses.Request) (addresses.Change, error) {
	if err := w.mails.Allow("user:"+p.UserID, "account:"+accounts.LoginEmail(n.Email)); err != nil {
		return addresses.Change{}, err
	}
	return w.addresses.Ask(ctx.Request().Context(), Caller(ctx, p), n)
}
