package sso

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/providers"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// callbackURI returns an organization's redirect URI, which is registered at its provider. Each organization has its own, so that
// answers of different providers cannot be mixed up (RFC 9700 section 4.4.2.2).
func (so *SSO) callbackURI(org string) string { return so.cfg.PublicURL.Join("/login/callback/" + org) }

type signInView struct {
	Email, Next, Error string
	Org, Host, URL     string // where the browser is sent now
}

func (so *SSO) renderSignIn(ctx echo.Context, status int, view signInView) error {
	return so.page.Render(ctx, status, "signin", web.Page{Title: "Sign in with your organization", View: view})
}

// signInFailed tells the person why it failed, on the page where they can start again.
func (so *SSO) signInFailed(ctx echo.Context, view signInView, err error) error {
	e := bridge.AsError(err)
	if who.Ours(e) {
		return err
	}
	if e.Err != nil {
		so.log.Warn("a sign-in through a provider failed", "request_id", api.RequestID(ctx.Request()), "code", e.Code, "cause", e.Err)
	}
	view.Error = page.Sentence(e)
	return so.renderSignIn(ctx, api.Status(err), view)
}

func (so *SSO) signInPage(ctx echo.Context) error {
	return so.renderSignIn(ctx, http.StatusOK, signInView{Next: page.LocalPath(ctx.QueryParam("next"))})
}

// beginSignIn sends the browser to the provider that is responsible for an e-mail address. It does so with a page that has a
// Refresh header and a link: a redirect would be subject to the form-action of the previous page, which cannot name a provider
// that nobody had typed in yet.
func (so *SSO) beginSignIn(ctx echo.Context) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := signInView{Email: strings.TrimSpace(r.PostForm.Get("email")), Next: page.LocalPath(r.PostForm.Get("next"))}
	err := so.tokens.Allow(bridge.AddressKey(ctx.RealIP())) // each attempt stores a sign-in in the database
	var s providers.SignIn
	if err == nil {
		err = so.who.Guess(ctx, func() (err error) {
			s, err = so.signinProviders.Begin(r.Context(), view.Email, view.Next)
			return err
		})
	}
	if err != nil {
		return so.signInFailed(ctx, view, err)
	}
	target, err := so.providers.authURL(r.Context(), s, so.callbackURI(s.Provider.Org), view.Email)
	if err != nil {
		return so.signInFailed(ctx, view, err)
	}
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	view.Org, view.Host, view.URL = s.Provider.Org, u.Host, target
	so.setSignInCookie(ctx, s.Cookie, providers.SignInLife)
	ctx.Response().Header().Set("Refresh", "0; url="+target)
	return so.renderSignIn(ctx, http.StatusOK, view)
}

const signInCookie = "ace_signin"

func (so *SSO) setSignInCookie(ctx echo.Context, value bridge.Secret, life time.Duration) {
	so.who.SetSecret(ctx, signInCookie, value, life)
}

// finishSignIn is where a provider sends the browser back to (RFC 6749 section 4.1.2).
func (so *SSO) finishSignIn(ctx echo.Context) error {
	r := ctx.Request()
	var cookie bridge.Secret
	if presented, err := r.Cookie(so.who.CookieNamed(signInCookie)); err == nil {
		cookie = bridge.NewSecret(presented.Value)
	}
	query := r.URL.Query()
	var s providers.SignIn
	var vouched providers.Vouched
	var session accounts.Session
	err := so.who.Guess(ctx, func() (err error) {
		if s, err = so.signinProviders.Take(r.Context(), cookie, bridge.NewSecret(query.Get("state")), ctx.Param("org")); err != nil {
			return err
		}
		so.setSignInCookie(ctx, bridge.NewSecret("-"), -time.Second)
		if vouched, err = so.vouched(ctx, s, query); err != nil {
			return err
		}
		ctx.Response().Before(so.accessChanged) // an account may change hands
		session, err = so.signinProviders.Finish(r.Context(), s.Provider, vouched, who.Anonymous(ctx))
		return err
	})
	if err != nil {
		if s.Provider.ID != "" {
			if err := so.signinProviders.Refuse(r.Context(), s.Provider, vouched.Email, err, who.Anonymous(ctx)); err != nil {
				return err
			}
		}
		return so.signInFailed(ctx, signInView{Next: page.LocalPath(s.Next)}, err)
	}
	if err := so.who.EndBefore(ctx); err != nil {
		return err
	}
	so.who.SetCookie(ctx, session.Cookie, accounts.BrowserLife)
	return ctx.Redirect(http.StatusSeeOther, page.LocalPath(s.Next))
}

// vouched reads the provider's answer: an error (RFC 6749 section 4.1.2.1), or a code to redeem.
func (so *SSO) vouched(ctx echo.Context, s providers.SignIn, query url.Values) (providers.Vouched, error) {
	if failed := query.Get("error"); failed != "" {
		if !bridge.PlainText(failed, 60) {
			failed = "an error"
		}
		return providers.Vouched{}, bridge.E(bridge.Forbidden, bridge.CodeProviderRefused, "The sign-in provider of %s refuses: %s.",
			s.Provider.Org, failed).
			WithHint("begin again, or ask an admin of %s", s.Provider.Org)
	}
	code := bridge.NewSecret(query.Get("code"))
	if code.IsZero() || code.Len() > 4<<10 {
		return providers.Vouched{}, refusedToken("it has no code", nil)
	}
	return so.providers.redeem(ctx.Request().Context(), s, so.callbackURI(s.Provider.Org), code, query.Get("iss"))
}
