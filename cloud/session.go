package cloud

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

// sessionClaims are those of a session token and of a developer token. What counts is the session that `sid` names; org
// and role are there for the reader.
type sessionClaims struct {
	jwt.RegisteredClaims
	Org       string      `json:"org"`
	Role      bridge.Role `json:"role"`
	SessionID string      `json:"sid"`
	Moves     int64       `json:"moves,omitempty"`
}

func (c *Cloud) sessionToken(p accounts.Principal, life time.Duration) (bridge.Secret, error) {
	now := c.cfg.Now()
	return c.root.SigningKey().SignToken(bridge.TypeSession, sessionClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: string(c.cfg.PublicURL), Audience: jwt.ClaimStrings{string(c.cfg.PublicURL)}, Subject: p.UserID,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(life)), ID: bridge.NewTokenID(),
		},
		Org: p.Org, Role: p.Role, SessionID: p.SessionID, Moves: p.Moves,
	})
}

var errToken = bridge.E(bridge.Unauthenticated, bridge.CodeTokenInvalid, "the token is invalid or expired").WithHint("ace login")

// verifySession checks a session token and that its session is still alive.
func (c *Cloud) verifySession(r *http.Request, token bridge.Secret) (accounts.Principal, time.Time, error) {
	var claims sessionClaims
	public := c.root.VerificationKeys()
	err := bridge.VerifyToken(token, bridge.TypeSession, bridge.AlgEdDSA, func(kid string) (any, error) {
		if key, ok := public[kid]; ok {
			return key, nil
		}
		return nil, errors.New("unknown key")
	}, &claims)
	if err != nil {
		return accounts.Principal{}, time.Time{}, errToken.Because(err)
	}
	now := c.cfg.Now()
	self := string(c.cfg.PublicURL)
	if claims.Issuer != self || !slices.Contains(claims.Audience, self) || claims.ExpiresAt == nil ||
		!now.Before(claims.ExpiresAt.Time) || claims.IssuedAt == nil || claims.IssuedAt.After(now.Add(bridge.ClockSkew)) {
		return accounts.Principal{}, time.Time{}, errToken
	}
	p, err := c.registry.Sessions.SessionByID(r.Context(), claims.SessionID)
	if err != nil {
		return accounts.Principal{}, time.Time{}, err
	}
	if p.UserID != claims.Subject || p.Org != claims.Org || p.Moves != claims.Moves {
		return accounts.Principal{}, time.Time{}, errToken
	}
	return p, claims.ExpiresAt.Time, nil
}

const principalKey = "principal"

// principal finds who calls: by a session token, an API key of this cloud, or the dashboard's cookie.
func (c *Cloud) principal(ctx echo.Context) (accounts.Principal, error) {
	if p, ok := ctx.Get(principalKey).(accounts.Principal); ok {
		return p, nil
	}
	r := ctx.Request()
	presented, err := bridge.Credential(r.Header)
	if err != nil {
		return accounts.Principal{}, err
	}
	var p accounts.Principal
	if !presented.Value.IsZero() {
		p, err = c.bearer(ctx, presented)
	} else if cookie, cerr := r.Cookie(c.cookieName()); cerr == nil && cookie.Value != "" {
		p, err = c.registry.Sessions.BrowserSession(r.Context(), bridge.NewSecret(cookie.Value))
	} else {
		err = bridge.E(bridge.Unauthenticated, bridge.CodeNotSignedIn, "you are not signed in").WithHint("ace login")
	}
	if err != nil {
		return accounts.Principal{}, err
	}
	ctx.Set(principalKey, p)
	return p, nil
}

// bearer finds who presents a session token or an API key of this cloud.
func (c *Cloud) bearer(ctx echo.Context, presented bridge.Presented) (accounts.Principal, error) {
	if presented.IsKey() {
		return c.keyPrincipal(ctx, presented)
	}
	p, expires, err := c.verifySession(ctx.Request(), presented.Value)
	p.ExpiresAt = expires
	return p, err
}

// member is a handler that needs to know who calls.
func (c *Cloud) member(h func(echo.Context, accounts.Principal) error) echo.HandlerFunc {
	return func(ctx echo.Context) error {
		p, err := c.principal(ctx)
		if err != nil {
			return err
		}
		ctx.Response().Header().Set("Cache-Control", "no-store")
		return h(ctx, p)
	}
}

// person is a handler of what is a person's own business, and not for a key.
func (c *Cloud) person(h func(echo.Context, accounts.Principal) error) echo.HandlerFunc {
	return c.member(func(ctx echo.Context, p accounts.Principal) error {
		if err := p.InPerson(); err != nil {
			return err
		}
		return h(ctx, p)
	})
}

// may is a handler that takes one scope of [registry.Scopes].
func (c *Cloud) may(need bridge.Scope, h func(echo.Context, accounts.Principal) error) echo.HandlerFunc {
	return c.member(func(ctx echo.Context, p accounts.Principal) error {
		if err := p.Need(need); err != nil {
			return err
		}
		return h(ctx, p)
	})
}

func actor(ctx echo.Context, p accounts.Principal) audit.Actor {
	a := p.Actor(ctx.RealIP(), api.RequestID(ctx.Request()))
	a.UserAgent = ctx.Request().UserAgent()
	return a
}

func caller(ctx echo.Context, p accounts.Principal) accounts.Caller {
	return p.As(actor(ctx, p))
}

func anonymous(ctx echo.Context) audit.Actor {
	return audit.Actor{ID: "anonymous", Address: ctx.RealIP(), RequestID: api.RequestID(ctx.Request()), UserAgent: ctx.Request().UserAgent()}
}

const sessionCookie = "ace_session"

func (c *Cloud) cookieName() string { return c.cookieNamed(sessionCookie) }

// cookieNamed has the __Host- prefix (RFC 6265bis section 4.1.3.2) wherever the cloud speaks https. On plain http, which
// is loopback development, a browser may refuse a Secure cookie, so there it is a plain one.
func (c *Cloud) cookieNamed(name string) string {
	if c.secure() {
		return "__Host-" + name
	}
	return name
}

func (c *Cloud) secure() bool { return strings.HasPrefix(string(c.cfg.PublicURL), "https://") }

func (c *Cloud) setCookie(ctx echo.Context, value bridge.Secret, life time.Duration) {
	c.setSecret(ctx, sessionCookie, value, life)
}

func (c *Cloud) setSecret(ctx echo.Context, name string, value bridge.Secret, life time.Duration) {
	ctx.SetCookie(&http.Cookie{ //nolint:gosec // Secure wherever there is https
		Name: c.cookieNamed(name), Value: value.Reveal(), Path: "/", MaxAge: int(life / time.Second), HttpOnly: true,
		Secure: c.secure(), SameSite: http.SameSiteLaxMode,
	})
}

// refuseHosts answers only under the cloud's own name, so that a page that has rebound its own name to this address
// cannot talk to it.
func (c *Cloud) refuseHosts(ctx echo.Context) error {
	r := ctx.Request()
	if path := r.URL.Path; path == "/healthz" || path == "/readyz" {
		return nil // a load balancer asks by address
	}
	scheme, _, _ := strings.Cut(string(c.cfg.PublicURL), ":")
	if !c.isOwnOrigin(scheme + "://" + r.Host) {
		return bridge.E(bridge.Invalid, bridge.CodeHostUnknown, "this cloud is not called by that name").
			WithHint("use %s, or set ACE_PUBLIC_URL to the name it should have", c.cfg.PublicURL)
	}
	return nil
}

// isOwnOrigin reports whether an origin is that of this cloud.
func (c *Cloud) isOwnOrigin(origin string) bool {
	if origin == string(c.origin) {
		return true // as nearly all do
	}
	asked, err := bridge.CanonicalURL(origin)
	return err == nil && asked.Same(c.origin)
}

// refuseCrossOrigin keeps other sites' pages from acting with a person's cookie.
func refuseCrossOrigin(protection *http.CrossOriginProtection) func(echo.Context) error {
	return func(ctx echo.Context) error {
		if err := protection.Check(ctx.Request()); err != nil {
			return bridge.E(bridge.Forbidden, bridge.CodeCrossOrigin, "another site's page has sent this request").Because(err)
		}
		return nil
	}
}
