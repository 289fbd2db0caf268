package server

import (
	"context"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/guard"
)

// caller is who a request comes from.
type caller struct {
	bridge.Identity
}

// actor is the caller's name in the audit log.
func (c caller) actor() string {
	switch c.Type {
	case bridge.TypeUserToken:
		return "operator:" + c.Subject
	case bridge.TypeAccessToken:
		return "user:" + c.Subject
	}
	return "key:" + c.KeyID.String()
}

// authority verifies the credentials that the server's API and the app behind it accept: API keys, access tokens, and this
// server's user tokens. A cloud JWT is not among them and is refused.
type authority struct{ s *Server }

// Verify implements guard.Authority.
func (a authority) Verify(ctx context.Context, p bridge.Presented, use bridge.Use) (bridge.Identity, error) {
	if !p.IsKey() && bridge.TokenType(p.Value) == bridge.TypeUser {
		return a.s.verifyUserToken(p.Value)
	}
	return a.s.keys.Verify(ctx, p, use)
}

// Spend implements guard.Authority. User tokens are not counted.
func (a authority) Spend(ctx context.Context, id bridge.Identity) error {
	return a.s.keys.Spend(ctx, id)
}

// Alive implements guard.Authority.
func (a authority) Alive(id bridge.Identity) bool { return a.s.keys.Alive(id) }

// authenticate identifies the caller of the server's own API. The call counts as a use of a key with a limited number of uses.
func (s *Server) authenticate(c echo.Context) (caller, error) {
	r := c.Request()
	presented, err := guard.Presented(r.Header)
	if err != nil {
		return caller{}, s.refused(c, bridge.Identity{}, err)
	}
	id, err := authority{s}.Verify(r.Context(), presented, bridge.Use{Address: c.RealIP(), UserAgent: r.UserAgent()})
	if err == nil {
		err = s.keys.Spend(r.Context(), id)
	}
	if err != nil {
		return caller{}, s.refused(c, id, err)
	}
	guard.WarnOfExpiry(c.Response().Header(), id, s.cfg.Now())
	return caller{id}, nil
}

// authorize is authenticate, and requires one scope of the server's own API.
func (s *Server) authorize(c echo.Context, need bridge.Scope) (caller, error) {
	who, err := s.authenticate(c)
	if err != nil {
		return caller{}, err
	}
	return who, s.require(c, who, need)
}

// require refuses a caller who lacks a scope; an empty scope requires nothing.
func (s *Server) require(c echo.Context, who caller, need bridge.Scope) error {
	if need == "" || who.Covers(need) {
		return nil
	}
	return s.refused(c, who.Identity, catalogue.MissingScope(need).
		WithHint("use a credential of an admin, for example from: ace server token --role admin"))
}

// key is the ID of the key behind an access token. The audit log keeps it next to the member that the token names, since anyone
// who holds a key can name any member.
func (c caller) key() string {
	if c.Type == bridge.TypeAccessToken {
		return c.KeyID.String()
	}
	return ""
}

// actor describes who sent a request for the audit log; id is their name there.
func (s *Server) actor(c echo.Context, id string) audit.Actor {
	return audit.Actor{ID: id, Org: s.org(), Address: c.RealIP(), RequestID: api.RequestID(c.Request())}
}

// userClaims are the claims of a user token, which the server signs itself with ACE_JWT_SECRET.
type userClaims struct {
	jwt.RegisteredClaims
	Role bridge.Role `json:"role"`
}

const userTokenKeyID = "server"

// MintUserToken signs a user token of a server (HS256), for its operator or the app behind it.
//
// The secret is ACE_JWT_SECRET, of at least 32 bytes (RFC 7518 section 3.2). The token is valid for life from now on and has the
// scopes of role's ceiling.
func MintUserToken(secret bridge.Secret, subject string, role bridge.Role, life time.Duration, now time.Time) (bridge.Secret, error) {
	if !role.Valid() {
		return bridge.Secret{}, bridge.E(bridge.Invalid, bridge.CodeRoleUnknown, "%q is not a role", role).
			WithHint("use owner, admin, member or viewer")
	}
	switch {
	case secret.Len() < minJWTSecret:
		return bridge.Secret{}, bridge.E(bridge.Invalid, bridge.CodeJWTSecretShort, "ACE_JWT_SECRET has less than %d bytes",
			minJWTSecret)
	case !bridge.PlainSubject(subject):
		return bridge.Secret{}, bridge.E(bridge.Invalid, bridge.CodeSubjectMalformed, "the subject is empty, too long or not plain text")
	case life <= 0:
		return bridge.Secret{}, bridge.E(bridge.Invalid, bridge.CodeLifeNegative, "the token would be expired already")
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, userClaims{Role: role, RegisteredClaims: jwt.RegisteredClaims{
		Subject: subject, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(life))}})
	t.Header["typ"], t.Header["kid"] = bridge.TypeUser, userTokenKeyID
	signed, err := t.SignedString([]byte(secret.Reveal()))
	return bridge.NewSecret(signed), err
}

// verifyUserToken verifies a token of [MintUserToken]. Without an ACE_JWT_SECRET it accepts none.
func (s *Server) verifyUserToken(token bridge.Secret) (bridge.Identity, error) {
	refuse := func(cause error) (bridge.Identity, error) {
		return bridge.Identity{}, bridge.E(bridge.Unauthenticated, bridge.CodeUserTokenInvalid,
			"the user token is invalid or expired").Because(cause).WithHint("mint one on the server: ace server token")
	}
	if s.cfg.JWTSecret.Len() < minJWTSecret { // golang-jwt would verify even with an empty key
		return refuse(errors.New("no ACE_JWT_SECRET"))
	}
	var claims userClaims
	err := bridge.VerifyToken(token, bridge.TypeUser, bridge.AlgHS256, func(string) (any, error) {
		return []byte(s.cfg.JWTSecret.Reveal()), nil
	}, &claims)
	if err != nil {
		return refuse(err)
	}
	if err := s.keys.Trouble(); err != nil {
		return bridge.Identity{}, err
	}
	now := s.cfg.Now()
	switch {
	case claims.ExpiresAt == nil || !now.Before(claims.ExpiresAt.Time):
		return refuse(errors.New("expired"))
	case claims.IssuedAt == nil || claims.IssuedAt.After(now.Add(bridge.ClockSkew)):
		return refuse(errors.New("issued in the future"))
	case !bridge.PlainSubject(claims.Subject) || !claims.Role.Valid():
		return refuse(errors.New("no subject or role"))
	}
	return bridge.Identity{Type: bridge.TypeUserToken, Subject: claims.Subject, Org: s.org(),
		Environment: bridge.EnvironmentLive, Role: claims.Role, Scopes: s.cfg.Catalogue.Ceiling(claims.Role), ExpiresAt: claims.ExpiresAt.Time}, nil
}

const minJWTSecret = 32 // bytes; see RFC 7518 section 3.2
