package v1

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/lockout"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/who"
)

// sessionAPI opens, lists, moves and ends sessions, and hands out developer tokens.
type sessionAPI struct {
	who      *who.Finder
	sessions *accounts.Sessions
	signin   *signin.Store
	factors  *factors.Store
	lockout  *lockout.Store
	now      func() time.Time
}

func (s *sessionAPI) mount(e *echo.Echo) {
	e.POST("/v1/sessions", s.create)
	e.GET("/v1/sessions", s.who.RequirePerson(s.list))
	e.DELETE("/v1/sessions", s.who.RequirePerson(s.endAll))
	e.DELETE("/v1/sessions/:id", s.who.RequirePerson(s.end))
	e.POST("/v1/sessions/switch", s.who.RequirePerson(s.switchTo))
	e.POST("/v1/developer-tokens", s.who.RequirePerson(s.createDeveloperToken))
}

// create signs a person in with a password, for programs without a browser.
func (s *sessionAPI) create(ctx echo.Context) error {
	ctx.Response().Header().Set("Cache-Control", "no-store")
	body, err := api.Decode[api.SessionRequest](ctx)
	if err != nil {
		return err
	}
	person, err := s.who.Authenticate(ctx, signin.Login{Email: body.Email, Password: body.Password.Secret})
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
		if err := s.who.Guess(ctx, func() (err error) {
			person.User, err = s.factors.ShowBoth(r.Context(), person.User, body.OTP, bridge.Secret{}, who.Anonymous(ctx))
			return err
		}); err != nil {
			return err
		}
	}
	opened, err := s.signin.SignIn(r.Context(), person.User, body.Org, accounts.MethodPassword, who.Anonymous(ctx))
	if err != nil {
		return err
	}
	if err := s.lockout.KnowDevice(r.Context(), person.ID, bridge.Secret{}, ctx.RealIP()); err != nil {
		return err
	}
	return s.answer(ctx, http.StatusCreated, opened.Principal)
}

// answer signs a token that lives as long as its session, or until it has to be refreshed.
func (s *sessionAPI) answer(ctx echo.Context, status int, p accounts.Principal) error {
	expires := p.ExpiresAt
	if most := s.now().Add(accounts.AccessLife); expires.After(most) && accounts.Refreshes(p.Method) {
		expires = most
	}
	token, err := s.who.SessionToken(p, expires.Sub(s.now()))
	if err != nil {
		return err
	}
	return ctx.JSON(status, api.SessionToken{Token: token.Disclose(), ExpiresAt: expires.UTC().Truncate(time.Second)})
}

func (s *sessionAPI) list(ctx echo.Context, p accounts.Principal) error {
	items, err := s.sessions.Sessions(ctx.Request().Context(), p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Session]{Items: items})
}

func (s *sessionAPI) end(ctx echo.Context, p accounts.Principal) error {
	if err := s.sessions.EndSessionByID(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("id")); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

func (s *sessionAPI) endAll(ctx echo.Context, p accounts.Principal) error {
	current := ctx.QueryParam("current")
	if current != "" && current != "true" && current != "false" {
		return bridge.E(bridge.Invalid, bridge.CodeCurrentMalformed, "current is true or false")
	}
	if err := s.sessions.EndSessions(ctx.Request().Context(), who.Caller(ctx, p), current == "true"); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

func (s *sessionAPI) switchTo(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.SwitchRequest](ctx)
	if err != nil {
		return err
	}
	moved, err := s.sessions.SwitchSession(ctx.Request().Context(), who.Caller(ctx, p), body.Org)
	if err != nil {
		return err
	}
	return s.answer(ctx, http.StatusOK, moved)
}

// createDeveloperToken serves signed-in people only: a developer token must not mint the next one for ever.
func (s *sessionAPI) createDeveloperToken(ctx echo.Context, p accounts.Principal) error {
	if p.Method == accounts.MethodDeveloper {
		return bridge.E(bridge.Forbidden, bridge.CodeDeveloperTokenChain, "a developer token cannot mint another one").
			WithHint("sign in to the dashboard, or run: ace login")
	}
	token, err := s.who.DeveloperToken(ctx, p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusCreated, token)
}
