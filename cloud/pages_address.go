package cloud

import (
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/web"
)

// addressView is the section of the profile page that changes the address.
type addressView struct {
	Refused   string // why it cannot be changed here, and the way
	TwoFactor bool
	Pending   string // the address that waits for its confirmation
	ExpiresAt time.Time
	New       string
	Error     string
}

// addressSection fills in what the page shows apart from a failed form.
func (c *Cloud) addressSection(ctx echo.Context, p accounts.Principal, view addressView) (addressView, error) {
	r := ctx.Request()
	pending, err := c.registry.SignIn.PendingAddress(r.Context(), p)
	switch {
	case err == nil:
		view.Pending, view.ExpiresAt = pending.To, pending.ExpiresAt
	case bridge.AsError(err).Kind != bridge.NotFound:
		return view, err
	}
	if err := c.registry.SignIn.CanChangeAddress(r.Context(), p); err != nil {
		if ours(err) {
			return view, err
		}
		view.Refused = sentence(err)
	}
	return view, nil
}

func (c *Cloud) changeAddress(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := addressView{New: r.PostForm.Get("email")}
	done, err := "The change was cancelled; your address stays the same.", error(nil)
	switch r.PostForm.Get("action") {
	case "cancel":
		err = c.registry.SignIn.CancelAddress(r.Context(), caller(ctx, p))
	case "change":
		done = "A link was mailed to " + view.New + ". Your address changes when you open it and confirm."
		_, err = c.requestAddress(ctx, p, signin.NewAddress{Email: view.New, OTP: r.PostForm.Get("otp"),
			Password: bridge.NewSecret(r.PostForm.Get("password"))})
	default:
		err = bridge.E(bridge.Invalid, bridge.CodeFormMalformed, "the form does not say what to do")
	}
	if err == nil {
		return c.profile(ctx, p, done)
	}
	if ours(err) {
		return err
	}
	view.Error = sentence(err)
	return c.profileWith(ctx, p, api.Status(err), "", view)
}

// requestAddress asks for another address, within the limit on requests for mail.
func (c *Cloud) requestAddress(ctx echo.Context, p accounts.Principal, n signin.NewAddress) (signin.AddressChange, error) {
	if err := c.mails.Allow("user:"+p.UserID, "account:"+accounts.LoginEmail(n.Email)); err != nil {
		return signin.AddressChange{}, err
	}
	return c.registry.SignIn.RequestAddress(ctx.Request().Context(), caller(ctx, p), n)
}

// addressLinkView is the page of a mailed link. Only people who are signed in to the account see the change: the new address
// may be a stranger's, by mistake.
type addressLinkView struct {
	linkView
	From, To string
	SignIn   string // where to sign in and come back; empty: somebody is
	Foreign  bool   // somebody else is
	Stop     bool
	Done     bool
}

const addressTitle, addressStopTitle = "Confirm your new e-mail address", "Stop the change of your e-mail address"

func (c *Cloud) addressPage(ctx echo.Context) error {
	return c.renderAddress(ctx, http.StatusOK, ctx.QueryParam("token"), nil)
}

func (c *Cloud) renderAddress(ctx echo.Context, status int, token string, failed error) error {
	if failed != nil && ours(failed) {
		return failed
	}
	view := addressLinkView{linkView: linkView{Token: token}}
	out := web.Page{Title: addressTitle}
	change, err := c.registry.SignIn.OfferedAddress(ctx.Request().Context(), bridge.NewSecret(token), false)
	if err != nil && bridge.AsError(err).Kind != bridge.NotFound {
		return err
	}
	if view.Dead = err != nil; view.Dead && failed == nil {
		failed = err
	}
	if failed != nil {
		status, view.Error = api.Status(failed), sentence(failed)
	}
	p, signedIn, err := c.visitor(ctx)
	switch {
	case err != nil && bridge.CodeOf(err) != bridge.CodeEmailUnverified:
		return err
	case err != nil || !signedIn:
		view.SignIn = "/login?next=" + url.QueryEscape(signin.AddressPath+"?token="+url.QueryEscape(token))
	default:
		out.User = user(p)
		if view.Foreign = p.UserID != change.UserID; !view.Foreign {
			view.From, view.To = change.From, change.To
		}
	}
	out.View = view
	return c.render(ctx, status, "address", out)
}

// confirmAddress gives the account its new address and the browser a new session; all earlier ones have ended.
func (c *Cloud) confirmAddress(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	token := r.PostForm.Get("token")
	err := c.mails.Allow("user:" + p.UserID)
	var s accounts.Session
	if err == nil {
		s, err = c.registry.SignIn.ConfirmAddress(r.Context(), caller(ctx, p), bridge.NewSecret(token))
	}
	if err != nil {
		return c.renderAddress(ctx, api.Status(err), token, err)
	}
	if err := c.carry(ctx, s); err != nil {
		return err
	}
	return ctx.Redirect(http.StatusSeeOther, "/settings?done=address")
}

func (c *Cloud) addressStopPage(ctx echo.Context) error {
	token := ctx.QueryParam("token")
	change, err := c.registry.SignIn.OfferedAddress(ctx.Request().Context(), bridge.NewSecret(token), true)
	return c.renderStop(ctx, addressLinkView{linkView: linkView{Token: token}, To: change.To}, err)
}

func (c *Cloud) renderStop(ctx echo.Context, view addressLinkView, err error) error {
	status := http.StatusOK
	if err != nil {
		if ours(err) {
			return err
		}
		status, view.Error, view.Dead = api.Status(err), sentence(err), bridge.AsError(err).Kind == bridge.NotFound
	}
	view.Stop = true
	return c.render(ctx, status, "address", web.Page{Title: addressStopTitle, View: view})
}

func (c *Cloud) stopAddress(ctx echo.Context) error {
	if err := form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := addressLinkView{linkView: linkView{Token: r.PostForm.Get("token")}}
	err := c.mails.Allow(bridge.AddressKey(ctx.RealIP()))
	if err == nil {
		err = c.registry.SignIn.StopAddress(r.Context(), bridge.NewSecret(view.Token), anonymous(ctx))
	}
	view.Done = err == nil
	return c.renderStop(ctx, view, err)
}

// The same for programs.

func (c *Cloud) getAddress(ctx echo.Context, p accounts.Principal) error {
	change, err := c.registry.SignIn.PendingAddress(ctx.Request().Context(), p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.PendingAddress{Email: change.To, ExpiresAt: change.ExpiresAt})
}

func (c *Cloud) postAddress(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.AddressRequest](ctx)
	if err != nil {
		return err
	}
	change, err := c.requestAddress(ctx, p, signin.NewAddress{Email: body.Email, Password: body.Password.Secret, OTP: body.OTP})
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusAccepted, api.PendingAddress{Email: change.To, ExpiresAt: change.ExpiresAt})
}

func (c *Cloud) deleteAddress(ctx echo.Context, p accounts.Principal) error {
	if err := c.registry.SignIn.CancelAddress(ctx.Request().Context(), caller(ctx, p)); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}
