package who

import (
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
)

// DeveloperToken opens a session of [accounts.DeveloperLife] and signs its token.
func (w *Finder) DeveloperToken(ctx echo.Context, p accounts.Principal) (api.DeveloperToken, error) {
	s, err := w.sessions.OpenSessionFrom(ctx.Request().Context(), Caller(ctx, p), accounts.MethodDeveloper)
	if err != nil {
		return api.DeveloperToken{}, err
	}
	token, err := w.SessionToken(s.Principal, accounts.DeveloperLife)
	return api.DeveloperToken{Token: token.Disclose(), ExpiresAt: s.Principal.ExpiresAt.UTC()}, err
}
