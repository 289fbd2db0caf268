package bridge

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
)

// ConnectClaims are the claims of a connect token: who may get which key from which server.
type ConnectClaims struct {
	noClaims
	Times
	Issuer   ServerURL      `json:"iss"`
	Audience strictAudience `json:"aud"`
	Org      string         `json:"org"`
	Subject  string         `json:"sub"`
	Email    string         `json:"email,omitempty"` // for the server's audit log; decides nothing
	Role     Role           `json:"role"`
	Scope    string         `json:"scope"`          // the most the key may be granted, in OAuth notation
	KeyLife  int64          `json:"key_life"`       // the longest the key may live, in seconds
	JTI      string         `json:"jti"`            // at least 128 bits
	Sealing  string         `json:"seal,omitempty"` // see SigningRoot.SealingKey
	// Replaces is the ID of the connection key that the new one replaces: keys created with it move to the new one once
	// that is confirmed. Empty: none.
	Replaces string `json:"replaces,omitempty"`
}

// Server returns the audience.
func (c ConnectClaims) Server() ServerURL { return ServerURL(c.Audience) }

// Scopes returns the scope ceiling; [Trust.VerifyConnect] has checked its form.
func (c ConnectClaims) Scopes() Scopes {
	scopes, err := ParseScopes(c.Scope)
	if err != nil {
		return nil
	}
	return scopes
}

// Binding returns what the exchanged key is sealed to.
func (c ConnectClaims) Binding() SealBinding {
	return SealBinding{Issuer: c.Issuer, Org: c.Org, Server: c.Server(), Subject: c.Subject, JTI: c.JTI}
}

// ForServer returns the claims with a server as their audience.
func (c ConnectClaims) ForServer(s ServerURL) ConnectClaims {
	c.Audience = strictAudience(s)
	return c
}

// SignConnect signs a connect token.
func (k SigningKey) SignConnect(c ConnectClaims) (Secret, error) { return sign(TypeConnect, k, c) }

const (
	minJTI     = 22 // base64url digits of 128 bits
	maxJTI     = 128
	maxSubject = 256
	maxKeyLife = int64(366 * 24 * time.Hour / time.Second)
)

// refuse makes the error of a token that is not accepted.
func refuse(code Code, format string, args ...any) *Error {
	return E(Unauthenticated, code, format, args...)
}

// VerifyConnect verifies a connect token against the server's trust and its own URLs.
//
// Each refusal has its own code and is shown to the person who connects, so that they can fix the right side. The caller
// still has to use up the jti.
func (t Trust) VerifyConnect(token Secret, servers []ServerURL, now time.Time) (ConnectClaims, error) {
	var none ConnectClaims
	if !t.Configured() {
		return none, E(Unavailable, CodeExchangeNotConfigured,
			"this server has no cloud secret, so it cannot check whose token this is").
			WithHint("set ACE_CLOUD_PUBLIC_KEY on the server to what `ace org trust` prints, and restart it")
	}
	c, err := t.verifySignature(token)
	if err != nil {
		return none, err
	}
	if err := t.checkTimes(c, now); err != nil {
		return none, err
	}
	if c.Issuer != t.Issuer {
		return none, refuse(CodeConnectIssuer, "the token was issued by %q, this server trusts %s", Clip(string(c.Issuer), maxShown), t.Issuer)
	}
	if c.Org != t.Org {
		return none, refuse(CodeConnectOrg, "the token is for organization %q, this server belongs to %q", Clip(c.Org, maxShown), t.Org).
			WithHint("switch to the organization %q, or give the server that organization's secret", t.Org)
	}
	if !slices.Contains(servers, c.Server()) {
		return none, refuse(CodeConnectAudience, "the token is for %q, this server is %s", Clip(string(c.Audience), maxShown), servers[0]).
			WithHint("ace connect --server %s", servers[0])
	}
	if err := c.checkFields(); err != nil {
		return none, err
	}
	return c, nil
}

// verifySignature verifies header and signature of a connect token with the trusted key that it names.
func (t Trust) verifySignature(token Secret) (ConnectClaims, error) {
	var c ConnectClaims
	h, err := readHeader(token.Reveal())
	if err != nil {
		return c, refuse(CodeConnectMalformed, "the connect token cannot be read: %w", err)
	}
	if h.Type != TypeConnect {
		return c, refuse(CodeConnectType, "the token is of type %q, not a connect token", Clip(h.Type, maxShown)).
			WithHint("narrow it first: ace connect does that")
	}
	key, known := t.key(h.KeyID)
	if !known {
		return c, refuse(CodeConnectKeyUnknown, "the token is signed with key %q, this server trusts %q",
			Clip(h.KeyID, maxShown), t.KeyIDs()).WithHint("give the server the values that `ace org trust` prints, and restart it")
	}
	if h.Alg != key.Algorithm() {
		return c, refuse(CodeConnectAlgorithm, "the token is signed with %q, its key demands %s", Clip(h.Alg, maxShown), key.Algorithm())
	}
	err = VerifyToken(token, TypeConnect, key.Algorithm(), func(string) (any, error) {
		if key.public != nil {
			return key.public, nil
		}
		return []byte(key.secret.Reveal()), nil
	}, &c)
	if malformed, ok := errors.AsType[*claimsError](err); ok {
		return ConnectClaims{}, refuse(CodeConnectMalformed, "the connect token cannot be read: %w", malformed)
	}
	if err != nil {
		return ConnectClaims{}, refuse(CodeConnectSignature,
			"the token's signature does not match the cloud secret of this server").Because(err).
			WithHint("give the server the values that `ace org trust` prints, and restart it")
	}
	return c, nil
}

// checkTimes checks the lifetime of a connect token, and says whose clock may be wrong.
func (t Trust) checkTimes(c ConnectClaims, now time.Time) error {
	err := c.Times.check(now, MaxConnectTokenLife)
	apart := now.Sub(time.Unix(c.IssuedAt, 0)).Round(time.Second)
	switch {
	case errors.Is(err, errFuture):
		return refuse(CodeConnectClock, "the token is from the future: the server's clock is %s behind the cloud's", -apart).
			WithHint("set the server's clock, for example with NTP, and connect again")
	case errors.Is(err, errExpired):
		return refuse(CodeConnectExpired, "the token has expired, or the server's clock is ahead of the cloud's: the token is %s old by the server's clock", apart).
			WithHint("connect again; if that fails, set the server's clock, for example with NTP")
	case err != nil:
		return refuse(CodeConnectLifetime, "the token's lifetime is not between 1 second and %s", MaxConnectTokenLife)
	}
	return nil
}

// checkFields checks the form of the claims that do not depend on the server.
func (c ConnectClaims) checkFields() error {
	switch {
	case !PlainSubject(c.Subject):
		return refuse(CodeConnectSubject, "the token names no member, or not in plain text")
	case c.Email != "" && !PlainSubject(c.Email):
		return refuse(CodeConnectSubject, "the token's email is too long or not plain text")
	case c.Replaces != "" && !isKeyID(c.Replaces):
		return refuse(CodeConnectReplaces, "the token says that the key replaces another, but not which")
	case !c.Role.Valid():
		return refuse(CodeConnectRole, "the token has no known role")
	case len(c.JTI) < minJTI || len(c.JTI) > maxJTI || !isToken(c.JTI):
		return refuse(CodeConnectJTI, "the token's jti has less than 128 bits")
	case c.KeyLife <= 0 || c.KeyLife > maxKeyLife:
		return refuse(CodeConnectKeyLife, "the token's limit on the key's lifetime is not between 1 second and 366 days")
	}
	if scopes, err := ParseScopes(c.Scope); err != nil || len(scopes) == 0 {
		return refuse(CodeConnectScope, "the token's scope is empty or malformed")
	}
	return nil
}

// isToken reports whether s consists of base64url digits.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; base62Values[c] == 0xff && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// isKeyID reports whether s is a key ID in canonical form.
func isKeyID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}

// PlainSubject reports whether s can name a subject: 1 to 256 bytes of unambiguous text.
//
// It must not contain control, format or line-breaking characters (U+202E makes one name look like another), nor begin or end
// with a space, which a header would lose. It must not be "*", which stands for everybody.
func PlainSubject(s string) bool {
	return s != "" && s != Everybody && PlainText(s, maxSubject) && strings.TrimSpace(s) == s &&
		strings.IndexFunc(s, func(r rune) bool { return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) }) < 0
}
