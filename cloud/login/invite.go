package login

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// inviteView is the page of an invitation's link. The token comes in the query, which is not logged, and goes into the form:
// only a POST uses it up, so that programs that fetch the links in mails do not.
type inviteView struct {
	accounts.OfferedInvitation
	Token  string
	SignIn string // where to sign in and come back
	Form   signup.NewAccount
	NoMail bool // the cloud sends no mail

	Unproven string // the address of the signed-in account, if it is not verified
	Error    string
}

func (lg *Login) invitePage(ctx echo.Context) error {
	return lg.renderInvite(ctx, http.StatusOK, inviteView{Token: ctx.QueryParam("token")})
}

func (lg *Login) renderInvite(ctx echo.Context, status int, view inviteView) error {
	var err error
	view.OfferedInvitation, err = lg.accounts.LookupInvitation(ctx.Request().Context(), bridge.NewSecret(view.Token))
	if err != nil {
		return err
	}
	p, signedIn, err := lg.who.Visitor(ctx)
	if err != nil && bridge.CodeOf(err) != bridge.CodeEmailUnverified {
		return err
	}
	if err != nil {
		u, err := lg.sessions.UnprovenSession(ctx.Request().Context(), lg.who.SecretOf(ctx, who.SessionCookie))
		if err != nil {
			return err
		}
		view.Unproven = u.Email
	}
	if view.Form.Email == "" {
		view.Form.Email = view.Email
	}
	view.NoMail = !lg.outbox.SendsMail()
	view.SignIn = "/login?next=" + url.QueryEscape("/invite?token="+url.QueryEscape(view.Token))
	out := web.Page{Title: "Invitation to " + view.Org, View: view}
	if signedIn {
		out.User = page.User(p)
	}
	return lg.page.Render(ctx, status, "invite", out)
}

func (lg *Login) failInvite(ctx echo.Context, view inviteView, err error) error {
	if who.Ours(err) || bridge.CodeOf(err) == bridge.CodeInvitationUnknown {
		return err
	}
	view.Error = page.Sentence(err)
	return lg.renderInvite(ctx, api.Status(err), view)
}

// acceptFromPage adds the signed-in person to the organization, or makes an account for somebody new.
func (lg *Login) acceptFromPage(ctx echo.Context) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := inviteView{Token: r.PostForm.Get("token")}
	token := bridge.NewSecret(view.Token)
	p, signedIn, err := lg.who.Visitor(ctx)
	if bridge.CodeOf(err) == bridge.CodeEmailUnverified {
		return lg.acceptUnproven(ctx, view)
	}
	if err != nil {
		return err
	}
	if signedIn {
		org, err := lg.joining.Accept(r.Context(), who.Caller(ctx, p), token)
		if err != nil {
			return lg.failInvite(ctx, view, err)
		}
		_, err = lg.sessions.SwitchSession(r.Context(), who.Caller(ctx, p), org.Slug)
		if err != nil && bridge.AsError(err).Kind != bridge.Forbidden { // a session through a provider stays in its organization
			return err
		}
		return ctx.Redirect(http.StatusSeeOther, "/connections?done=joined")
	}
	view.Form = signup.NewAccount{Name: r.PostForm.Get("name"), Email: r.PostForm.Get("email"), Password: bridge.NewSecret(r.PostForm.Get("password"))}
	var up signup.SignedUp
	err = lg.who.Guess(ctx, func() (err error) { // hashing a password is expensive
		up, err = lg.signup.SignUp(r.Context(), token, view.Form, who.Anonymous(ctx))
		return err
	})
	if err != nil {
		return lg.failInvite(ctx, view, err)
	}
	if !up.Verified {
		lg.who.SetCookie(ctx, up.Waiting, accounts.UnprovenLife)
		return ctx.Redirect(http.StatusSeeOther, page.ConfirmPath)
	}
	lg.who.SetCookie(ctx, up.Session.Cookie, accounts.BrowserLife)
	return ctx.Redirect(http.StatusSeeOther, "/connections?done=joined")
}

// acceptUnproven accepts an invitation for an account with an unverified address; a link mailed there verifies it.
func (lg *Login) acceptUnproven(ctx echo.Context, view inviteView) error {
	r := ctx.Request()
	u, err := lg.sessions.UnprovenSession(r.Context(), lg.who.SecretOf(ctx, who.SessionCookie))
	if err != nil {
		return err
	}
	s, err := lg.joining.AcceptUnproven(r.Context(), u, bridge.NewSecret(view.Token), who.Anonymous(ctx))
	if err != nil {
		return lg.failInvite(ctx, view, err)
	}
	if s.Cookie.IsZero() {
		return ctx.Redirect(http.StatusSeeOther, page.ConfirmPath)
	}
	lg.who.SetCookie(ctx, s.Cookie, accounts.BrowserLife)
	return ctx.Redirect(http.StatusSeeOther, "/connections?done=joined")
}
