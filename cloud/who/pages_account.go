package who

import (
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
)

// SecretOf returns the value of a cookie that only this cloud can have set.
func (w *Finder) SecretOf(ctx echo.Context, name string) bridge.Secret {
	cookie, err := ctx.Request().Cookie(w.CookieNamed(name))
	if err != nil {
		return bridge.Secret{}
	}
	return bridge.NewSecret(cookie.Value)
}

// EndBefore ends the browser's previous session, whose cookie is about to be replaced.
func (w *Finder) EndBefore(ctx echo.Context) error {
	r := ctx.Request()
	cookie := w.SecretOf(ctx, SessionCookie)
	if u, err := w.sessions.UnprovenSession(r.Context(), cookie); err == nil {
		return w.sessions.EndUnproven(r.Context(), u)
	}
	before, err := w.sessions.BrowserSession(r.Context(), cookie)
	if err != nil {
		return nil //nolint:nilerr // there is no session to end
	}
	return w.sessions.EndSession(r.Context(), Caller(ctx, before))
}
