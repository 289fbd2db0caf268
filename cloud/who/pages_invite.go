package who

import (
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
)

// VisitorKey is where the principal of a page is kept.
const VisitorKey = "visitor"

// Visitor is whoever is signed in on the dashboard, if anybody is.
func (w *Finder) Visitor(ctx echo.Context) (p accounts.Principal, signedIn bool, err error) {
	r := ctx.Request()
	cookie, err := r.Cookie(w.CookieName())
	if err != nil {
		return p, false, nil //nolint:nilerr // there is none
	}
	p, err = w.sessions.BrowserSession(r.Context(), bridge.NewSecret(cookie.Value))
	if err != nil && bridge.AsError(err).Kind == bridge.Unauthenticated {
		return p, false, nil
	}
	ctx.Set(VisitorKey, p)
	return p, err == nil, err
}
