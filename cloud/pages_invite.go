package cloud

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/web"
)

// inviteView is the page of an invitation's link. The token stands in the link's query, which is not logged, and from there in
// the form: only a POST uses it up, so that whatever fetches links in mails does not.
type inviteView struct {
	accounts.OfferedInvitation
	Token  string
	SignIn string // where to sign in and come back
	Form   signin.NewAccount
	NoMail bool // the cloud sends none

	Unproven string // the address of the account that is signed in, and is not proven
	Error    string
}

func (c *Cloud) invitePage(ctx echo.Context) error {
	return c.renderInvite(ctx, http.StatusOK, inviteView{Token: ctx.QueryParam("token")})
}

func (c *Cloud) renderInvite(ctx echo.Context, status int, view inviteView) error {
	var err error
	view.OfferedInvitation, err = c.registry.Accounts.LookupInvitation(ctx.Request().Context(), bridge.NewSecret(view.Token))
	if err != nil {
		return err
	}
	p, signedIn, err := c.visitor(ctx)
	if err != nil && bridge.CodeOf(err) != bridge.CodeEmailUnverified {
		return err
	}
	if err != nil {
		u, err := c.registry.Sessions.UnprovenSession(ctx.Request().Context(), c.secretOf(ctx, sessionCookie))
		if err != nil {
			return err
		}
		view.Unproven = u.Email
	}
	if view.Form.Email == "" {
		view.Form.Email = view.Email
	}
	view.NoMail = c.registry.Outbox.CanMail() != nil
	view.SignIn = "/login?next=" + url.QueryEscape("/invite?token="+url.QueryEscape(view.Token))
	out := web.Page{Title: "Invitation to " + view.Org, View: view}
	if signedIn {
		out.User = user(p)
	}
	return c.render(ctx, status, "invite", out)
}

func (c *Cloud) failInvite(ctx echo.Context, view inviteView, err error) error {
	if ours(err) || bridge.CodeOf(err) == bridge.CodeInvitationUnknown {
		return err
	}
	view.Error = sentence(err)
	return c.renderInvite(ctx, api.Status(err), view)
}

// acceptFromPage lets in whoever is signed in, or makes an account for somebody new.
func (c *Cloud) acceptFromPage(ctx echo.Context) error {
	if err := form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := inviteView{Token: r.PostForm.Get("token")}
	token := bridge.NewSecret(view.Token)
	p, signedIn, err := c.visitor(ctx)
	if bridge.CodeOf(err) == bridge.CodeEmailUnverified {
		return c.acceptUnproven(ctx, view)
	}
	if err != nil {
		return err
	}
	if signedIn {
		org, err := c.registry.SignIn.AcceptInvitation(r.Context(), caller(ctx, p), token)
		if err != nil {
			return c.failInvite(ctx, view, err)
		}
		_, err = c.registry.Sessions.SwitchSession(r.Context(), caller(ctx, p), org.Slug)
		if err != nil && bridge.AsError(err).Kind != bridge.Forbidden { // a provider's session stays where it is
			return err
		}
		return ctx.Redirect(http.StatusSeeOther, "/connections?done=joined")
	}
	view.Form = signin.NewAccount{Name: r.PostForm.Get("name"), Email: r.PostForm.Get("email"), Password: bridge.NewSecret(r.PostForm.Get("password"))}
	var up signin.SignedUp
	err = c.guess(ctx, func() (err error) { // a password is hashed
		up, err = c.registry.SignIn.SignUp(r.Context(), token, view.Form, anonymous(ctx))
		return err
	})
	if err != nil {
		return c.failInvite(ctx, view, err)
	}
	if !up.Verified {
		c.setCookie(ctx, up.Waiting, accounts.UnprovenLife)
		return ctx.Redirect(http.StatusSeeOther, confirmPath)
	}
	c.setCookie(ctx, up.Session.Cookie, accounts.BrowserLife)
	return ctx.Redirect(http.StatusSeeOther, "/connections?done=joined")
}

// acceptUnproven accepts an invitation for an account whose address is not proven: with the link that was mailed there, it is.
func (c *Cloud) acceptUnproven(ctx echo.Context, view inviteView) error {
	r := ctx.Request()
	u, err := c.registry.Sessions.UnprovenSession(r.Context(), c.secretOf(ctx, sessionCookie))
	if err != nil {
		return err
	}
	s, err := c.registry.SignIn.AcceptUnproven(r.Context(), u, bridge.NewSecret(view.Token), anonymous(ctx))
	if err != nil {
		return c.failInvite(ctx, view, err)
	}
	if s.Cookie.IsZero() {
		return ctx.Redirect(http.StatusSeeOther, confirmPath)
	}
	c.setCookie(ctx, s.Cookie, accounts.BrowserLife)
	return ctx.Redirect(http.StatusSeeOther, "/connections?done=joined")
}

// visitorKey is where the principal of a page is kept.
const visitorKey = "visitor"

// visitor is whoever is signed in on the dashboard, if anybody is.
func (c *Cloud) visitor(ctx echo.Context) (p accounts.Principal, signedIn bool, err error) {
	r := ctx.Request()
	cookie, err := r.Cookie(c.cookieName())
	if err != nil {
		return p, false, nil //nolint:nilerr // there is none
	}
	p, err = c.registry.Sessions.BrowserSession(r.Context(), bridge.NewSecret(cookie.Value))
	if err != nil && bridge.AsError(err).Kind == bridge.Unauthenticated {
		return p, false, nil
	}
	ctx.Set(visitorKey, p)
	return p, err == nil, err
}
