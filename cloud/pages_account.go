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

// mountLogin mounts the pages of signing in and out, and those that mailed links lead to.
func (c *Cloud) mountLogin(e *echo.Echo) {
	e.GET("/login", c.loginPage)
	e.POST("/login", c.login)
	e.GET("/login/code", c.codePage)
	e.POST("/login/code", c.loginCode)
	e.POST("/logout", c.page(c.logout))
	e.GET("/forgot", c.forgotPage)
	e.POST("/forgot", c.forgot)
	e.GET("/"+signin.PurposeReset, c.resetPage)
	e.POST("/"+signin.PurposeReset, c.reset)
	e.GET("/"+signin.PurposeVerify, c.verifyPage)
	e.POST("/"+signin.PurposeVerify, c.verify)
	e.GET(signin.FirstPath, c.firstPage)
	e.POST(signin.FirstPath, c.makeFirst)
	e.GET(confirmPath, c.confirmPage)
	e.POST(confirmPath, c.confirm)
	e.GET(signin.AddressPath, c.addressPage)
	e.POST(signin.AddressPath, c.page(c.confirmAddress))
	e.GET(signin.AddressStopPath, c.addressStopPage)
	e.POST(signin.AddressStopPath, c.stopAddress)
	e.GET("/invite", c.invitePage)
	e.POST("/invite", c.acceptFromPage)
}

const deviceCookie, pendingCookie = "ace_device", "ace_login"

// secretOf reads a cookie that only this cloud can have set.
func (c *Cloud) secretOf(ctx echo.Context, name string) bridge.Secret {
	cookie, err := ctx.Request().Cookie(c.cookieNamed(name))
	if err != nil {
		return bridge.Secret{}
	}
	return bridge.NewSecret(cookie.Value)
}

// sentence is an error as a page says it: what is wrong, and what helps.
func sentence(err error) string {
	e := bridge.AsError(err)
	var out []string
	for _, text := range []string{e.Detail, e.Hint} {
		switch {
		case strings.HasPrefix(text, "ace "):
			out = append(out, "In a terminal: `"+text+"`.")
		case text != "":
			text = strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".")
			if !strings.HasSuffix(text, "?") {
				text += "."
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, " ")
}

type loginView struct{ Email, Next, Error, Done string }

// loginDone are the messages that the login page may be opened with; the query only chooses one.
var loginDone = map[string]string{
	"reset":  "Your new password is set, and all your sessions have ended. Sign in with it.",
	"verify": "Your e-mail address is confirmed. You can sign in.",
}

func (c *Cloud) loginPage(ctx echo.Context) error {
	return c.render(ctx, http.StatusOK, "login", web.Page{Title: "Sign in",
		View: loginView{Next: localPath(ctx.QueryParam("next")), Done: loginDone[ctx.QueryParam("done")]}})
}

func (c *Cloud) login(ctx echo.Context) error {
	if err := form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := loginView{Email: r.PostForm.Get("email"), Next: localPath(r.PostForm.Get("next"))}
	person, err := c.authenticate(ctx, signin.Login{Email: view.Email, Password: bridge.NewSecret(r.PostForm.Get("password")),
		Device: c.secretOf(ctx, deviceCookie)})
	if err == nil && person.TwoFactor {
		pending, err := c.registry.SignIn.BeginSecondStep(r.Context(), person.User, anonymous(ctx))
		if err != nil {
			return err
		}
		c.setSecret(ctx, pendingCookie, pending, signin.PendingLife)
		return ctx.Redirect(http.StatusSeeOther, "/login/code?next="+url.QueryEscape(view.Next))
	}
	if err == nil {
		err = c.enter(ctx, person.User, view.Next)
	}
	if err == nil || ours(err) {
		return err
	}
	view.Error = sentence(err)
	return c.render(ctx, api.Status(err), "login", web.Page{Title: "Sign in", View: view})
}

// enter signs a person in: with a fresh session in place of the browser's last one, and on a device that is known from
// now on.
func (c *Cloud) enter(ctx echo.Context, u accounts.User, next string) error {
	r := ctx.Request()
	s, err := c.registry.SignIn.SignIn(r.Context(), u, "", accounts.MethodBrowser, anonymous(ctx))
	if err != nil {
		return err
	}
	if err := c.endBefore(ctx); err != nil {
		return err
	}
	if err := c.carry(ctx, s); err != nil {
		return err
	}
	return ctx.Redirect(http.StatusSeeOther, next)
}

// carry gives the browser its session, and remembers browser and network as the person's.
func (c *Cloud) carry(ctx echo.Context, s accounts.Session) error {
	device := c.secretOf(ctx, deviceCookie)
	if device.Len() != deviceLength {
		device = bridge.NewSecret(bridge.RandomToken(deviceBytes))
	}
	if err := c.registry.SignIn.KnowDevice(ctx.Request().Context(), s.Principal.UserID, device, ctx.RealIP()); err != nil {
		return err
	}
	c.setCookie(ctx, s.Cookie, accounts.BrowserLife)
	c.setSecret(ctx, deviceCookie, device, signin.DeviceLife)
	return nil
}

// endBefore ends the session that the browser has had so far, whose cookie is about to be replaced.
func (c *Cloud) endBefore(ctx echo.Context) error {
	r := ctx.Request()
	cookie := c.secretOf(ctx, sessionCookie)
	if u, err := c.registry.Sessions.UnprovenSession(r.Context(), cookie); err == nil {
		return c.registry.Sessions.EndUnproven(r.Context(), u)
	}
	before, err := c.registry.Sessions.BrowserSession(r.Context(), cookie)
	if err != nil {
		return nil //nolint:nilerr // there is none to end
	}
	return c.registry.Sessions.EndSession(r.Context(), caller(ctx, before))
}

// A device cookie is 32 random bytes, which are 43 characters.
const deviceBytes, deviceLength = 32, 43

type codeView struct{ Next, Error string }

// codePage asks for the second factor of whoever has given the password.
func (c *Cloud) codePage(ctx echo.Context) error {
	next := localPath(ctx.QueryParam("next"))
	if _, err := c.registry.SignIn.PendingLogin(ctx.Request().Context(), c.secretOf(ctx, pendingCookie)); err != nil {
		if bridge.CodeOf(err) != bridge.CodeLoginExpired {
			return err
		}
		return ctx.Redirect(http.StatusSeeOther, "/login?next="+url.QueryEscape(next))
	}
	return c.render(ctx, http.StatusOK, "code", web.Page{Title: "Sign in", View: codeView{Next: next}})
}

func (c *Cloud) loginCode(ctx echo.Context) error {
	if err := form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	next := localPath(r.PostForm.Get("next"))
	var u accounts.User
	err := c.guess(ctx, func() (err error) {
		u, err = c.registry.SignIn.FinishSecondStep(r.Context(), c.secretOf(ctx, pendingCookie), r.PostForm.Get("otp"),
			c.secretOf(ctx, deviceCookie), anonymous(ctx))
		return err
	})
	if err == nil {
		c.setSecret(ctx, pendingCookie, bridge.NewSecret("-"), -time.Second)
		return c.enter(ctx, u, next)
	}
	switch e := bridge.AsError(err); {
	case ours(e):
		return err
	case e.Code == bridge.CodeLoginExpired:
		return c.render(ctx, api.Status(err), "login", web.Page{Title: "Sign in", View: loginView{Next: next, Error: sentence(err)}})
	}
	return c.render(ctx, api.Status(err), "code", web.Page{Title: "Sign in", View: codeView{Next: next, Error: sentence(err)}})
}

type forgotView struct{ Email, Error, Done string }

func (c *Cloud) forgotPage(ctx echo.Context) error {
	var view forgotView
	if err := c.registry.Outbox.CanMail(); err != nil {
		view.Error = "A new password needs mail. " + sentence(err)
	}
	return c.render(ctx, http.StatusOK, "forgot", web.Page{Title: "Forgotten password", View: view})
}

// forgot answers everybody alike, and as fast: whether there is such an account is seen when the mail is due.
func (c *Cloud) forgot(ctx echo.Context) error {
	if err := form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := forgotView{Email: r.PostForm.Get("email")}
	err := c.mails.Allow(bridge.AddressKey(ctx.RealIP()), "account:"+accounts.LoginEmail(view.Email))
	if err == nil {
		err = c.registry.SignIn.RequestReset(r.Context(), view.Email, anonymous(ctx))
	}
	status := http.StatusOK
	if err != nil {
		if ours(err) {
			return err
		}
		view.Error, status = sentence(err), api.Status(err)
	} else {
		view.Done = "If " + view.Email + " has an account here, a link is on its way. It works for one hour."
	}
	return c.render(ctx, status, "forgot", web.Page{Title: "Forgotten password", View: view})
}

type linkView struct {
	Token string // in a hidden field: only the form uses it up
	Error string
	Dead  bool // there is nothing to be done with the link any more
}

// linkPage shows what a mailed link is for. Opening it uses nothing up: programs that scan mail open links, too.
func (c *Cloud) linkPage(ctx echo.Context, purpose, title string) error {
	token := ctx.QueryParam("token")
	return c.link(ctx, purpose, title, token, c.registry.SignIn.CheckLink(ctx.Request().Context(), purpose, bridge.NewSecret(token)))
}

func (c *Cloud) link(ctx echo.Context, purpose, title, token string, err error) error {
	view := linkView{Token: token}
	status := http.StatusOK
	if err != nil {
		e := bridge.AsError(err)
		if ours(e) {
			return err
		}
		status, view.Error, view.Dead = api.Status(err), sentence(err), e.Kind == bridge.NotFound
	}
	return c.render(ctx, status, purpose, web.Page{Title: title, View: view})
}

const resetTitle, verifyTitle = "Set a new password", "Confirm your e-mail address"

func (c *Cloud) resetPage(ctx echo.Context) error {
	return c.linkPage(ctx, signin.PurposeReset, resetTitle)
}

func (c *Cloud) verifyPage(ctx echo.Context) error {
	return c.linkPage(ctx, signin.PurposeVerify, verifyTitle)
}

func (c *Cloud) reset(ctx echo.Context) error {
	return c.useLink(ctx, signin.PurposeReset, resetTitle, func(r *http.Request, token bridge.Secret) error {
		tokens := r.PostForm.Get("revoke_tokens") != "" || r.PostForm.Get("tokens_asked") == "" // yes, unless the box was there and is not ticked
		return c.registry.SignIn.ResetPassword(r.Context(), token, bridge.NewSecret(r.PostForm.Get("password")), tokens, anonymous(ctx))
	})
}

func (c *Cloud) verify(ctx echo.Context) error {
	return c.useLink(ctx, signin.PurposeVerify, verifyTitle, func(r *http.Request, token bridge.Secret) error {
		return c.guess(ctx, func() error {
			return c.registry.SignIn.VerifyEmail(r.Context(), token, bridge.NewSecret(r.PostForm.Get("password")), anonymous(ctx))
		})
	})
}

func (c *Cloud) useLink(ctx echo.Context, purpose, title string, use func(r *http.Request, token bridge.Secret) error) error {
	if err := form(ctx); err != nil {
		return err
	}
	token := ctx.Request().PostForm.Get("token")
	err := c.mails.Allow(bridge.AddressKey(ctx.RealIP()))
	if err == nil {
		err = use(ctx.Request(), bridge.NewSecret(token))
	}
	if err != nil {
		return c.link(ctx, purpose, title, token, err)
	}
	return ctx.Redirect(http.StatusSeeOther, "/login?done="+purpose)
}
