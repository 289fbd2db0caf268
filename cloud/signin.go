package cloud

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/web"
)

// callbackURI is the redirect URI that a provider is registered with. Each organization has one of its own, so that an
// answer can be told from another provider's (RFC 9700 section 4.4.2.2).
func (c *Cloud) callbackURI(org string) string { return c.cfg.PublicURL.Join("/login/callback/" + org) }

type signInView struct {
	Email, Next, Error string
	Org, Host, URL     string // where the browser goes now
}

func (c *Cloud) renderSignIn(ctx echo.Context, status int, view signInView) error {
	return c.render(ctx, status, "signin", web.Page{Title: "Sign in with your organization", View: view})
}

// signInFailed tells a person why it did not work, on the page where they can begin again.
func (c *Cloud) signInFailed(ctx echo.Context, view signInView, err error) error {
	e := bridge.AsError(err)
	if ours(e) {
		return err
	}
	if e.Err != nil {
		c.log.Warn("a sign-in through a provider failed", "request_id", api.RequestID(ctx.Request()), "code", e.Code, "cause", e.Err)
	}
	view.Error = sentences(e)
	return c.renderSignIn(ctx, api.Status(err), view)
}

// sentences is an error as a page says it: what is wrong, and what to do.
func sentences(e *bridge.Error) string {
	out := ""
	for _, s := range []string{e.Detail, e.Hint} {
		if s != "" {
			out += " " + strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
		}
	}
	return strings.TrimSpace(out)
}

func (c *Cloud) signInPage(ctx echo.Context) error {
	return c.renderSignIn(ctx, http.StatusOK, signInView{Next: localPath(ctx.QueryParam("next"))})
}

// beginSignIn sends a browser to the provider of an e-mail address. It does so by a page with a Refresh header and a link: a
// redirect would be held against the form-action of the page before, which cannot name a provider that nobody has typed yet.
func (c *Cloud) beginSignIn(ctx echo.Context) error {
	if err := form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := signInView{Email: strings.TrimSpace(r.PostForm.Get("email")), Next: localPath(r.PostForm.Get("next"))}
	err := c.tokens.Allow(bridge.AddressKey(ctx.RealIP())) // each begins a sign-in in the database
	var s signin.SignIn
	if err == nil {
		err = c.guess(ctx, func() (err error) {
			s, err = c.registry.Providers.BeginSignIn(r.Context(), view.Email, view.Next)
			return err
		})
	}
	if err != nil {
		return c.signInFailed(ctx, view, err)
	}
	target, err := c.providers.authURL(r.Context(), s, c.callbackURI(s.Provider.Org), view.Email)
	if err != nil {
		return c.signInFailed(ctx, view, err)
	}
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	view.Org, view.Host, view.URL = s.Provider.Org, u.Host, target
	c.setSignInCookie(ctx, s.Cookie, signin.SignInLife)
	ctx.Response().Header().Set("Refresh", "0; url="+target)
	return c.renderSignIn(ctx, http.StatusOK, view)
}

const signInCookie = "ace_signin"

func (c *Cloud) setSignInCookie(ctx echo.Context, value bridge.Secret, life time.Duration) {
	c.setSecret(ctx, signInCookie, value, life)
}

// finishSignIn is where a provider sends the browser back to (RFC 6749 section 4.1.2).
func (c *Cloud) finishSignIn(ctx echo.Context) error {
	r := ctx.Request()
	var cookie bridge.Secret
	if presented, err := r.Cookie(c.cookieNamed(signInCookie)); err == nil {
		cookie = bridge.NewSecret(presented.Value)
	}
	query := r.URL.Query()
	var s signin.SignIn
	var vouched signin.Vouched
	var session accounts.Session
	err := c.guess(ctx, func() (err error) {
		if s, err = c.registry.Providers.TakeSignIn(r.Context(), cookie, bridge.NewSecret(query.Get("state")), ctx.Param("org")); err != nil {
			return err
		}
		c.setSignInCookie(ctx, bridge.NewSecret("-"), -time.Second)
		if vouched, err = c.vouched(ctx, s, query); err != nil {
			return err
		}
		ctx.Response().Before(c.accessChanged) // an account may be taken over
		session, err = c.registry.Providers.FinishSignIn(r.Context(), s.Provider, vouched, anonymous(ctx))
		return err
	})
	if err != nil {
		if s.Provider.ID != "" {
			if err := c.registry.Providers.RefuseSignIn(r.Context(), s.Provider, vouched.Email, err, anonymous(ctx)); err != nil {
				return err
			}
		}
		return c.signInFailed(ctx, signInView{Next: localPath(s.Next)}, err)
	}
	if err := c.endBefore(ctx); err != nil {
		return err
	}
	c.setCookie(ctx, session.Cookie, accounts.BrowserLife)
	return ctx.Redirect(http.StatusSeeOther, localPath(s.Next))
}

// vouched reads the provider's answer: an error of its own (RFC 6749 section 4.1.2.1), or a code to redeem.
func (c *Cloud) vouched(ctx echo.Context, s signin.SignIn, query url.Values) (signin.Vouched, error) {
	if failed := query.Get("error"); failed != "" {
		if !bridge.PlainText(failed, 60) {
			failed = "an error"
		}
		return signin.Vouched{}, bridge.E(bridge.Forbidden, bridge.CodeProviderRefused, "The sign-in provider of %s refuses: %s.",
			s.Provider.Org, failed).
			WithHint("begin again, or ask an admin of %s", s.Provider.Org)
	}
	code := bridge.NewSecret(query.Get("code"))
	if code.IsZero() || code.Len() > 4<<10 {
		return signin.Vouched{}, refusedToken("it has no code", nil)
	}
	return c.providers.redeem(ctx.Request().Context(), s, c.callbackURI(s.Provider.Org), code, query.Get("iss"))
}
