package who

import (
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
)

// VisitorKey is the key in echo's context under which a page's principal is kept.
const VisitorKey = "visitor"

// Visitor returns who is signed in on the dashboard, if anyone is.
func (w *Finder) Visitor(ctx echo.Context) (p accounts.Principal, signedIn bool, err error) {
	r := ctx.Request()
	cookie, err := r.Cookie(w.CookieName())
	if err != nil {
		return p, false, nil //nolint:nilerr // no cookie
	}
	p, err = w.sessions.BrowserSession(r.Context(), bridge.NewSecret(cookie.Value))
	if err != nil && bridge.AsError(err).Kind == bridge.Unauthenticated {
		return p, false, nil
	}
	ctx.Set(VisitorKey, p)
	return p, err == nil, err
}
