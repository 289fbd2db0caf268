package who

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
)

// sessionClaims are the claims of a session token or a developer token. Only the session that `sid` names counts; org and role
// are informative.
type sessionClaims struct {
	jwt.RegisteredClaims
	Org       string      `json:"org"`
	Role      bridge.Role `json:"role"`
	SessionID string      `json:"sid"`
	Moves     int64       `json:"moves,omitempty"`
}

// SessionToken signs a token for a session.
func (w *Finder) SessionToken(p accounts.Principal, life time.Duration) (bridge.Secret, error) {
	now := w.cfg.Now()
	return w.root.SigningKey().SignToken(bridge.TypeSession, sessionClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: string(w.cfg.PublicURL), Audience: jwt.ClaimStrings{string(w.cfg.PublicURL)}, Subject: p.UserID,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(life)), ID: bridge.NewTokenID(),
		},
		Org: p.Org, Role: p.Role, SessionID: p.SessionID, Moves: p.Moves,
	})
}

var errToken = bridge.E(bridge.Unauthenticated, bridge.CodeTokenInvalid, "the token is invalid or expired").WithHint("ace login")

// VerifySession checks a session token and that its session is still alive.
//
// It returns the session's principal and when the token expires.
func (w *Finder) VerifySession(r *http.Request, token bridge.Secret) (accounts.Principal, time.Time, error) {
	var claims sessionClaims
	public := w.root.VerificationKeys()
	err := bridge.VerifyToken(token, bridge.TypeSession, bridge.AlgEdDSA, func(kid string) (any, error) {
		if key, ok := public[kid]; ok {
			return key, nil
		}
		return nil, errors.New("unknown key")
	}, &claims)
	if err != nil {
		return accounts.Principal{}, time.Time{}, errToken.Because(err)
	}
	now := w.cfg.Now()
	self := string(w.cfg.PublicURL)
	if claims.Issuer != self || !slices.Contains(claims.Audience, self) || claims.ExpiresAt == nil ||
		!now.Before(claims.ExpiresAt.Time) || claims.IssuedAt == nil || claims.IssuedAt.After(now.Add(bridge.ClockSkew)) {
		return accounts.Principal{}, time.Time{}, errToken
	}
	p, err := w.sessions.SessionByID(r.Context(), claims.SessionID)
	if err != nil {
		return accounts.Principal{}, time.Time{}, err
	}
	if p.UserID != claims.Subject || p.Org != claims.Org || p.Moves != claims.Moves {
		return accounts.Principal{}, time.Time{}, errToken
	}
	return p, claims.ExpiresAt.Time, nil
}

const principalKey = "principal"

// Principal identifies the caller, by a session token, an API key of this cloud, or the dashboard's cookie.
//
// The result is kept for the rest of the request. Without any credential the error has the code [bridge.CodeNotSignedIn].
func (w *Finder) Principal(ctx echo.Context) (accounts.Principal, error) {
	if p, ok := ctx.Get(principalKey).(accounts.Principal); ok {
		return p, nil
	}
	presented, err := bridge.Credential(ctx.Request().Header)
	if err != nil {
		return accounts.Principal{}, err
	}
	return w.Presented(ctx, presented)
}

// Presented identifies the caller like [Finder.Principal], by a credential that was read from the headers already.
func (w *Finder) Presented(ctx echo.Context, presented bridge.Presented) (p accounts.Principal, err error) {
	r := ctx.Request()
	if !presented.Value.IsZero() {
		p, err = w.Bearer(ctx, presented)
	} else if cookie, cerr := r.Cookie(w.CookieName()); cerr == nil && cookie.Value != "" {
		p, err = w.sessions.BrowserSession(r.Context(), bridge.NewSecret(cookie.Value))
	} else {
		err = bridge.E(bridge.Unauthenticated, bridge.CodeNotSignedIn, "you are not signed in").WithHint("ace login")
	}
	if err != nil {
		return accounts.Principal{}, err
	}
	ctx.Set(principalKey, p)
	return p, nil
}

// Bearer identifies who presented a session token or an API key of this cloud.
func (w *Finder) Bearer(ctx echo.Context, presented bridge.Presented) (accounts.Principal, error) {
	if presented.IsKey() {
		return w.keyPrincipal(ctx, presented)
	}
	p, expires, err := w.VerifySession(ctx.Request(), presented.Value)
	p.ExpiresAt = expires
	return p, err
}

// RequireCaller wraps a handler that needs to know who calls, person or API key.
func (w *Finder) RequireCaller(h func(echo.Context, accounts.Principal) error) echo.HandlerFunc {
	return func(ctx echo.Context) error {
		p, err := w.Principal(ctx)
		if err != nil {
			return err
		}
		ctx.Response().Header().Set("Cache-Control", "no-store")
		return h(ctx, p)
	}
}

// RequirePerson wraps a handler that serves only people, not API keys.
func (w *Finder) RequirePerson(h func(echo.Context, accounts.Principal) error) echo.HandlerFunc {
	return w.RequireCaller(func(ctx echo.Context, p accounts.Principal) error {
		if err := p.RequirePerson(); err != nil {
			return err
		}
		return h(ctx, p)
	})
}

// RequireScope wraps a handler that needs one of [accounts.Scopes].
func (w *Finder) RequireScope(need bridge.Scope, h func(echo.Context, accounts.Principal) error) echo.HandlerFunc {
	return w.RequireCaller(func(ctx echo.Context, p accounts.Principal) error {
		if err := p.RequireScope(need); err != nil {
			return err
		}
		return h(ctx, p)
	})
}

// Actor returns the caller of a request for the audit log.
func Actor(ctx echo.Context, p accounts.Principal) audit.Actor {
	a := p.Actor(ctx.RealIP(), api.RequestID(ctx.Request()))
	a.UserAgent = ctx.Request().UserAgent()
	return a
}

// Caller returns the principal together with the actor for the audit log.
func Caller(ctx echo.Context, p accounts.Principal) accounts.Caller {
	return p.As(Actor(ctx, p))
}

// Anonymous returns the actor of a request whose caller is unknown.
func Anonymous(ctx echo.Context) audit.Actor {
	return audit.Actor{ID: "anonymous", Address: ctx.RealIP(), RequestID: api.RequestID(ctx.Request()), UserAgent: ctx.Request().UserAgent()}
}

// SessionCookie is the name of the session cookie, without its prefix.
const SessionCookie = "ace_session"

// CookieName returns the full name of the session cookie.
func (w *Finder) CookieName() string { return w.CookieNamed(SessionCookie) }

// CookieNamed returns a cookie's full name: over https it has the prefix __Host-.
//
// See RFC 6265bis section 4.1.3.2. Over plain http, which is loopback development, a browser may refuse Secure cookies, so there
// it is an ordinary one.
func (w *Finder) CookieNamed(name string) string {
	if w.secure() {
		return "__Host-" + name
	}
	return name
}

func (w *Finder) secure() bool { return strings.HasPrefix(string(w.cfg.PublicURL), "https://") }

// SetCookie sets the session cookie; an empty value removes it.
func (w *Finder) SetCookie(ctx echo.Context, value bridge.Secret, life time.Duration) {
	w.SetSecret(ctx, SessionCookie, value, life)
}

// SetSecret sets a cookie that holds a secret; an empty value removes it.
func (w *Finder) SetSecret(ctx echo.Context, name string, value bridge.Secret, life time.Duration) {
	ctx.SetCookie(&http.Cookie{ //nolint:gosec // Secure over https
		Name: w.CookieNamed(name), Value: value.Reveal(), Path: "/", MaxAge: int(life / time.Second), HttpOnly: true,
		Secure: w.secure(), SameSite: http.SameSiteLaxMode,
	})
}

// RefuseHosts refuses requests that name another host than the cloud's own.
//
// So a page that has rebound its own name to this address cannot talk to the cloud.
func (w *Finder) RefuseHosts(ctx echo.Context) error {
	r := ctx.Request()
	if path := r.URL.Path; path == "/healthz" || path == "/readyz" {
		return nil // load balancers ask by address
	}
	scheme, _, _ := strings.Cut(string(w.cfg.PublicURL), ":")
	if !w.IsOwnOrigin(scheme + "://" + r.Host) {
		return bridge.E(bridge.Invalid, bridge.CodeHostUnknown, "this cloud does not go by that name").
			WithHint("use %s, or set ACE_PUBLIC_URL to the name it should have", w.cfg.PublicURL)
	}
	return nil
}

// IsOwnOrigin reports whether an origin is this cloud's.
func (w *Finder) IsOwnOrigin(origin string) bool {
	if origin == string(w.origin) {
		return true // almost always
	}
	asked, err := bridge.CanonicalURL(origin)
	return err == nil && asked.Same(w.origin)
}

// RefuseCrossOrigin keeps pages of other sites from acting with a person's cookie.
func RefuseCrossOrigin(protection *http.CrossOriginProtection) func(echo.Context) error {
	return func(ctx echo.Context) error {
		if err := protection.Check(ctx.Request()); err != nil {
			return bridge.E(bridge.Forbidden, bridge.CodeCrossOrigin, "this request was sent by another site's page").Because(err)
		}
		return nil
	}
}
