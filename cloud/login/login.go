package login

import (
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/lockout"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// Mount mounts the pages of signing in and out, and those of mailed links.
func (lg *Login) Mount(e *echo.Echo) {
	e.GET("/login", lg.loginPage)
	e.POST("/login", lg.login)
	e.GET("/login/code", lg.codePage)
	e.POST("/login/code", lg.loginCode)
	e.POST("/logout", lg.page.SignedIn(lg.logout))
	e.GET("/forgot", lg.forgotPage)
	e.POST("/forgot", lg.forgot)
	e.GET("/"+signin.PurposeReset, lg.resetPage)
	e.POST("/"+signin.PurposeReset, lg.reset)
	e.GET("/"+signin.PurposeVerify, lg.verifyPage)
	e.POST("/"+signin.PurposeVerify, lg.verify)
	e.GET(signup.FirstPath, lg.firstPage)
	e.POST(signup.FirstPath, lg.makeFirst)
	e.GET(page.ConfirmPath, lg.confirmPage)
	e.POST(page.ConfirmPath, lg.confirm)
	e.GET(addresses.Path, lg.addressPage)
	e.POST(addresses.Path, lg.page.SignedIn(lg.confirmAddress))
	e.GET(addresses.StopPath, lg.addressStopPage)
	e.POST(addresses.StopPath, lg.stopAddress)
	e.GET("/invite", lg.invitePage)
	e.POST("/invite", lg.acceptFromPage)
}

const deviceCookie, pendingCookie = "ace_device", "ace_login"

type loginView struct{ Email, Next, Error, Done string }

// loginDone are the messages that the query "done" chooses from.
var loginDone = map[string]string{
	"reset":  "Your new password is set, and all your sessions have ended. Sign in with it.",
	"verify": "Your e-mail address is confirmed. You can sign in.",
}

func (lg *Login) loginPage(ctx echo.Context) error {
	return lg.page.Render(ctx, http.StatusOK, "login", web.Page{Title: "Sign in",
		View: loginView{Next: page.LocalPath(ctx.QueryParam("next")), Done: loginDone[ctx.QueryParam("done")]}})
}

func (lg *Login) login(ctx echo.Context) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := loginView{Email: r.PostForm.Get("email"), Next: page.LocalPath(r.PostForm.Get("next"))}
	person, err := lg.who.Authenticate(ctx, signin.Login{Email: view.Email, Password: bridge.NewSecret(r.PostForm.Get("password")),
		Device: lg.who.SecretOf(ctx, deviceCookie)})
	if err == nil && person.TwoFactor {
		pending, err := lg.signin.BeginSecondStep(r.Context(), person.User, who.Anonymous(ctx))
		if err != nil {
			return err
		}
		lg.who.SetSecret(ctx, pendingCookie, pending, signin.PendingLife)
		return ctx.Redirect(http.StatusSeeOther, "/login/code?next="+url.QueryEscape(view.Next))
	}
	if err == nil {
		err = lg.enter(ctx, person.User, view.Next)
	}
	if err == nil || who.Ours(err) {
		return err
	}
	view.Error = page.Sentence(err)
	return lg.page.Render(ctx, api.Status(err), "login", web.Page{Title: "Sign in", View: view})
}

// enter signs a person in: it replaces the browser's session, and remembers the device.
func (lg *Login) enter(ctx echo.Context, u accounts.User, next string) error {
	r := ctx.Request()
	s, err := lg.signin.SignIn(r.Context(), u, "", accounts.MethodBrowser, who.Anonymous(ctx))
	if err != nil {
		return err
	}
	if err := lg.who.EndBefore(ctx); err != nil {
		return err
	}
	if err := lg.carry(ctx, s); err != nil {
		return err
	}
	return ctx.Redirect(http.StatusSeeOther, next)
}

// carry sets the session's cookie, and remembers browser and network as the person's.
func (lg *Login) carry(ctx echo.Context, s accounts.Session) error {
	device := lg.who.SecretOf(ctx, deviceCookie)
	if device.Len() != deviceLength {
		device = bridge.NewSecret(bridge.RandomToken(deviceBytes))
	}
	if err := lg.lockout.KnowDevice(ctx.Request().Context(), s.Principal.UserID, device, ctx.RealIP()); err != nil {
		return err
	}
	lg.who.SetCookie(ctx, s.Cookie, accounts.BrowserLife)
	lg.who.SetSecret(ctx, deviceCookie, device, lockout.DeviceLife)
	return nil
}

// A device cookie is 32 random bytes, which are 43 characters.
const deviceBytes, deviceLength = 32, 43

type codeView struct{ Next, Error string }

// codePage asks for the second factor after the password.
func (lg *Login) codePage(ctx echo.Context) error {
	next := page.LocalPath(ctx.QueryParam("next"))
	if _, err := lg.signin.PendingLogin(ctx.Request().Context(), lg.who.SecretOf(ctx, pendingCookie)); err != nil {
		if bridge.CodeOf(err) != bridge.CodeLoginExpired {
			return err
		}
		return ctx.Redirect(http.StatusSeeOther, "/login?next="+url.QueryEscape(next))
	}
	return lg.page.Render(ctx, http.StatusOK, "code", web.Page{Title: "Sign in", View: codeView{Next: next}})
}

func (lg *Login) loginCode(ctx echo.Context) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	next := page.LocalPath(r.PostForm.Get("next"))
	var u accounts.User
	err := lg.who.Guess(ctx, func() (err error) {
		u, err = lg.signin.FinishSecondStep(r.Context(), lg.who.SecretOf(ctx, pendingCookie), r.PostForm.Get("otp"),
			lg.who.SecretOf(ctx, deviceCookie), who.Anonymous(ctx))
		return err
	})
	if err == nil {
		lg.who.SetSecret(ctx, pendingCookie, bridge.NewSecret("-"), -time.Second)
		return lg.enter(ctx, u, next)
	}
	switch e := bridge.AsError(err); {
	case who.Ours(e):
		return err
	case e.Code == bridge.CodeLoginExpired:
		return lg.page.Render(ctx, api.Status(err), "login", web.Page{Title: "Sign in", View: loginView{Next: next, Error: page.Sentence(err)}})
	}
	return lg.page.Render(ctx, api.Status(err), "code", web.Page{Title: "Sign in", View: codeView{Next: next, Error: page.Sentence(err)}})
}

type forgotView struct{ Email, Error, Done string }

func (lg *Login) forgotPage(ctx echo.Context) error {
	var view forgotView
	if err := lg.outbox.RequireMail(); err != nil {
		view.Error = "A new password needs mail. " + page.Sentence(err)
	}
	return lg.page.Render(ctx, http.StatusOK, "forgot", web.Page{Title: "Forgot your password?", View: view})
}

// forgot answers the same and as fast for every address: the account is looked up when the mail is due.
func (lg *Login) forgot(ctx echo.Context) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	view := forgotView{Email: r.PostForm.Get("email")}
	err := lg.mails.Allow(bridge.AddressKey(ctx.RealIP()), "account:"+accounts.LoginEmail(view.Email))
	if err == nil {
		err = lg.links.RequestReset(r.Context(), view.Email, who.Anonymous(ctx))
	}
	status := http.StatusOK
	if err != nil {
		if who.Ours(err) {
			return err
		}
		view.Error, status = page.Sentence(err), api.Status(err)
	} else {
		view.Done = "If " + view.Email + " has an account here, a link is on its way. It works for one hour."
	}
	return lg.page.Render(ctx, status, "forgot", web.Page{Title: "Forgot your password?", View: view})
}

type linkView struct {
	Token string // a hidden field: only the form uses it up
	Error string
	Dead  bool // the link is of no more use
}

// linkPage shows what a mailed link is for, without using it up: programs that scan mail open links too.
func (lg *Login) linkPage(ctx echo.Context, purpose, title string) error {
	token := ctx.QueryParam("token")
	return lg.link(ctx, purpose, title, token, lg.links.Check(ctx.Request().Context(), purpose, bridge.NewSecret(token)))
}

func (lg *Login) link(ctx echo.Context, purpose, title, token string, err error) error {
	view := linkView{Token: token}
	status := http.StatusOK
	if err != nil {
		e := bridge.AsError(err)
		if who.Ours(e) {
			return err
		}
		status, view.Error, view.Dead = api.Status(err), page.Sentence(err), e.Kind == bridge.NotFound
	}
	return lg.page.Render(ctx, status, purpose, web.Page{Title: title, View: view})
}

const resetTitle, verifyTitle = "Set a new password", "Confirm your e-mail address"

func (lg *Login) resetPage(ctx echo.Context) error {
	return lg.linkPage(ctx, signin.PurposeReset, resetTitle)
}

func (lg *Login) verifyPage(ctx echo.Context) error {
	return lg.linkPage(ctx, signin.PurposeVerify, verifyTitle)
}

func (lg *Login) reset(ctx echo.Context) error {
	return lg.useLink(ctx, signin.PurposeReset, resetTitle, func(r *http.Request, token bridge.Secret) error {
		tokens := r.PostForm.Get("revoke_tokens") != "" || r.PostForm.Get("tokens_asked") == "" // true unless the box was shown and is not ticked
		return lg.links.ResetPassword(r.Context(), token, bridge.NewSecret(r.PostForm.Get("password")), tokens, who.Anonymous(ctx))
	})
}

func (lg *Login) verify(ctx echo.Context) error {
	return lg.useLink(ctx, signin.PurposeVerify, verifyTitle, func(r *http.Request, token bridge.Secret) error {
		return lg.who.Guess(ctx, func() error {
			return lg.links.VerifyEmail(r.Context(), token, bridge.NewSecret(r.PostForm.Get("password")), who.Anonymous(ctx))
		})
	})
}

func (lg *Login) useLink(ctx echo.Context, purpose, title string, use func(r *http.Request, token bridge.Secret) error) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	token := ctx.Request().PostForm.Get("token")
	err := lg.mails.Allow(bridge.AddressKey(ctx.RealIP()))
	if err == nil {
		err = use(ctx.Request(), bridge.NewSecret(token))
	}
	if err != nil {
		return lg.link(ctx, purpose, title, token, err)
	}
	return ctx.Redirect(http.StatusSeeOther, "/login?done="+purpose)
}
