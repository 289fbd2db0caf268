package cloud

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/signin"
)

func (c *Cloud) routeSessions(v1 *echo.Group) {
	v1.PATCH("/me", c.person(c.patchMe))
	v1.GET("/me/address", c.person(c.getAddress))
	v1.POST("/me/address", c.person(c.postAddress))
	v1.DELETE("/me/address", c.person(c.deleteAddress))
	v1.POST("/sessions", c.createSession)
	v1.GET("/sessions", c.person(c.listSessions))
	v1.DELETE("/sessions", c.person(c.endSessions))
	v1.DELETE("/sessions/:id", c.person(c.endSession))
	v1.POST("/sessions/switch", c.person(c.switchSession))
}

// guess runs one check of a secret within the limits of the address and of all together. Only failures count: an office
// behind one address signs in at nine o'clock without waiting. Tries at the same time count until they succeed.
func (c *Cloud) guess(ctx echo.Context, check func() error) error {
	key := bridge.AddressKey(ctx.RealIP())
	if err := c.logins.Allow(key); err != nil {
		return err
	}
	err := check()
	if kind := bridge.AsError(err).Kind; err == nil || kind == bridge.Internal || kind == bridge.Unavailable {
		c.logins.Return(key)
	}
	return err
}

// authenticate checks a password, within the limits of the address and of all together. Those of the account are the
// registry's, which tells strangers from devices that the person has signed in from: one limit for both would let anybody who
// keeps guessing lock the person out.
func (c *Cloud) authenticate(ctx echo.Context, l signin.Login) (signin.Authenticated, error) {
	var person signin.Authenticated
	err := c.guess(ctx, func() (err error) {
		person, err = c.registry.SignIn.Authenticate(ctx.Request().Context(), l, anonymous(ctx))
		return err
	})
	if bridge.CodeOf(err) == bridge.CodeEmailUnverified {
		// Whoever has the password gets another link: the first mail may be lost.
		if merr := c.registry.SignIn.StartVerification(ctx.Request().Context(), person.ID, anonymous(ctx)); merr != nil {
			if ours(merr) {
				return person, merr
			}
			e := bridge.AsError(merr)
			hint := "It cannot be confirmed now: " + e.Detail + "."
			if c.registry.Outbox.CanMail() != nil {
				hint = "This cloud sends no mail: sign in through your organization's provider, or ask the operator to vouch for your address (`ace cloud user add`)."
			}
			return person, bridge.AsError(err).WithHint("%s", hint)
		}
	}
	return person, err
}

// createSession signs a person in with a password, for programs without a browser.
func (c *Cloud) createSession(ctx echo.Context) error {
	ctx.Response().Header().Set("Cache-Control", "no-store")
	body, err := api.Decode[api.SessionRequest](ctx)
	if err != nil {
		return err
	}
	person, err := c.authenticate(ctx, signin.Login{Email: body.Email, Password: body.Password.Secret})
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
		if err := c.guess(ctx, func() (err error) {
			person.User, err = c.registry.SignIn.ShowBoth(r.Context(), person.User, body.OTP, bridge.Secret{}, anonymous(ctx))
			return err
		}); err != nil {
			return err
		}
	}
	s, err := c.registry.SignIn.SignIn(r.Context(), person.User, body.Org, accounts.MethodPassword, anonymous(ctx))
	if err != nil {
		return err
	}
	if err := c.registry.SignIn.KnowDevice(r.Context(), person.ID, bridge.Secret{}, ctx.RealIP()); err != nil {
		return err
	}
	return c.answerToken(ctx, http.StatusCreated, s.Principal)
}

// answerToken signs a token that lives as long as its session, or as one that is refreshed does.
func (c *Cloud) answerToken(ctx echo.Context, status int, p accounts.Principal) error {
	expires := p.ExpiresAt
	if most := c.cfg.Now().Add(accounts.AccessLife); expires.After(most) && accounts.Refreshes(p.Method) {
		expires = most
	}
	token, err := c.sessionToken(p, expires.Sub(c.cfg.Now()))
	if err != nil {
		return err
	}
	return ctx.JSON(status, api.SessionToken{Token: token.Disclose(), ExpiresAt: expires.UTC().Truncate(time.Second)})
}

func (c *Cloud) listSessions(ctx echo.Context, p accounts.Principal) error {
	items, err := c.registry.Sessions.Sessions(ctx.Request().Context(), p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Session]{Items: items})
}

func (c *Cloud) endSession(ctx echo.Context, p accounts.Principal) error {
	if err := c.registry.Sessions.EndSessionByID(ctx.Request().Context(), caller(ctx, p), ctx.Param("id")); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

func (c *Cloud) endSessions(ctx echo.Context, p accounts.Principal) error {
	current := ctx.QueryParam("current")
	if current != "" && current != "true" && current != "false" {
		return bridge.E(bridge.Invalid, bridge.CodeCurrentMalformed, "current is true or false")
	}
	if err := c.registry.Sessions.EndSessions(ctx.Request().Context(), caller(ctx, p), current == "true"); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

func (c *Cloud) switchSession(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.SwitchRequest](ctx)
	if err != nil {
		return err
	}
	moved, err := c.registry.Sessions.SwitchSession(ctx.Request().Context(), caller(ctx, p), body.Org)
	if err != nil {
		return err
	}
	return c.answerToken(ctx, http.StatusOK, moved)
}

func (c *Cloud) patchMe(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.ProfilePatch](ctx)
	if err != nil {
		return err
	}
	account, err := c.registry.Accounts.PatchAccount(ctx.Request().Context(), caller(ctx, p), body)
	if err != nil {
		return err
	}
	p.Name = account.Name
	return c.me(ctx, p)
}
