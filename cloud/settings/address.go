package settings

import (
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
)

// addressView is the part of the profile page that changes the e-mail address.
type addressView struct {
	Refused   string // why it cannot be changed here, and what to do
	TwoFactor bool
	Pending   string // the new address, until it is confirmed
	ExpiresAt time.Time
	New       string
	Error     string
}

// withAddress completes the view with the state of the address.
func (pr *profile) withAddress(ctx echo.Context, p accounts.Principal, view addressView) (addressView, error) {
	r := ctx.Request()
	pending, err := pr.addresses.Pending(r.Context(), p)
	switch {
	case err == nil:
		view.Pending, view.ExpiresAt = pending.To, pending.ExpiresAt
	case bridge.AsError(err).Kind != bridge.NotFound:
		return view, err
	}
	if err := pr.addresses.RequireChangeable(r.Context(), p); err != nil {
		if who.Ours(err) {
			return view, err
		}
		view.Refused = page.Sentence(err)
	}
	return view, nil
}

func (pr *profile) changeAddress(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := addressView{New: r.PostForm.Get("email")}
	done, err := "The change was cancelled; your address stays the same.", error(nil)
	switch r.PostForm.Get("action") {
	case "cancel":
		err = pr.addresses.Cancel(r.Context(), who.Caller(ctx, p))
	case "change":
		done = "A link was mailed to " + view.New + ". Your address changes when you open it and confirm."
		_, err = pr.who.RequestAddress(ctx, p, addresses.Request{Email: view.New, OTP: r.PostForm.Get("otp"),
			Password: bridge.NewSecret(r.PostForm.Get("password"))})
	default:
		err = errNoAction
	}
	if err == nil {
		return pr.done(ctx, p, done)
	}
	if who.Ours(err) {
		return err
	}
	view.Error = page.Sentence(err)
	return pr.showAddress(ctx, p, api.Status(err), "", view)
}
