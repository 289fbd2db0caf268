package v1

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/who"
)

func (v *API) routeSessions(v1 *echo.Group) {
	v1.PATCH("/me", v.who.RequirePerson(v.patchMe))
	v1.GET("/me/address", v.who.RequirePerson(v.getAddress))
	v1.POST("/me/address", v.who.RequirePerson(v.postAddress))
	v1.DELETE("/me/address", v.who.RequirePerson(v.deleteAddress))
	v1.POST("/sessions", v.createSession)
	v1.GET("/sessions", v.who.RequirePerson(v.listSessions))
	v1.DELETE("/sessions", v.who.RequirePerson(v.endSessions))
	v1.DELETE("/sessions/:id", v.who.RequirePerson(v.endSession))
	v1.POST("/sessions/switch", v.who.RequirePerson(v.switchSession))
}

// createSession signs a person in with a password, for programs without a browser.
func (v *API) createSession(ctx echo.Context) error {
	ctx.Response().Header().Set("Cache-Control", "no-store")
	body, err := api.Decode[api.SessionRequest](ctx)
	if err != nil {
		return err
	}
	person, err := v.who.Authenticate(ctx, signin.Login{Email: body.Email, Password: body.Password.Secret})
	if err != nil {
		return err
	}
	r := ctx.Request()
	if person.TwoFactor {
		if body.OTP == "" {
			return bridge.E(bridge.Unauthenticated, bridge.CodeOTPRequired,
				"This account has two-factor authentication: a code is needed, too.").
				WithHint("add --otp with the six digits of your authenticator app, or a recovery code")
		}
		if err := v.who.Guess(ctx, func() (err error) {
			person.User, err = v.factors.ShowBoth(r.Context(), person.User, body.OTP, bridge.Secret{}, who.Anonymous(ctx))
			return err
		}); err != nil {
			return err
		}
	}
	s, err := v.signin.SignIn(r.Context(), person.User, body.Org, accounts.MethodPassword, who.Anonymous(ctx))
	if err != nil {
		return err
	}
	if err := v.lockout.KnowDevice(r.Context(), person.ID, bridge.Secret{}, ctx.RealIP()); err != nil {
		return err
	}
	return v.answerToken(ctx, http.StatusCreated, s.Principal)
}

// answerToken signs a token that lives as long as its session, or as one that is refreshed does.
func (v *API) answerToken(ctx echo.Context, status int, p accounts.Principal) error {
	expires := p.ExpiresAt
	if most := v.cfg.Now().Add(accounts.AccessLife); expires.After(most) && accounts.Refreshes(p.Method) {
		expires = most
	}
	token, err := v.who.SessionToken(p, expires.Sub(v.cfg.Now()))
	if err != nil {
		return err
	}
	return ctx.JSON(status, api.SessionToken{Token: token.Disclose(), ExpiresAt: expires.UTC().Truncate(time.Second)})
}

func (v *API) listSessions(ctx echo.Context, p accounts.Principal) error {
	items, err := v.sessions.Sessions(ctx.Request().Context(), p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Session]{Items: items})
}

func (v *API) endSession(ctx echo.Context, p accounts.Principal) error {
	if err := v.sessions.EndSessionByID(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("id")); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

func (v *API) endSessions(ctx echo.Context, p accounts.Principal) error {
	current := ctx.QueryParam("current")
	if current != "" && current != "true" && current != "false" {
		return bridge.E(bridge.Invalid, bridge.CodeCurrentMalformed, "current is true or false")
	}
	if err := v.sessions.EndSessions(ctx.Request().Context(), who.Caller(ctx, p), current == "true"); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

func (v *API) switchSession(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.SwitchRequest](ctx)
	if err != nil {
		return err
	}
	moved, err := v.sessions.SwitchSession(ctx.Request().Context(), who.Caller(ctx, p), body.Org)
	if err != nil {
		return err
	}
	return v.answerToken(ctx, http.StatusOK, moved)
}

func (v *API) patchMe(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.ProfilePatch](ctx)
	if err != nil {
		return err
	}
	account, err := v.accounts.PatchAccount(ctx.Request().Context(), who.Caller(ctx, p), body)
	if err != nil {
		return err
	}
	p.Name = account.Name
	return v.me(ctx, p)
}
