package bridge

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// AccessClaims are the claims of a derived access token.
//
// They say which member calls which server with which scopes, and with which API key's signature.
type AccessClaims struct {
	noClaims
	Times
	KeyID    uuid.UUID      `json:"-"` // in the header, as kid
	Audience strictAudience `json:"aud"`
	Subject  string         `json:"sub"`
	Scope    string         `json:"scope"`
	// Role is the member's role; the server caps the token by that role's ceiling in its catalogue. Empty: no such cap.
	Role Role `json:"role,omitempty"`
	// Connection is the cloud's ID of the connection, for the server's audit.
	Connection string `json:"connection,omitempty"`
	// Generation is the highest change number that the server has told the cloud. If the server's own is lower, it has lost
	// changes.
	Generation int64 `json:"generation,omitempty"`
	// Number is the number of the key's last withdrawal at issue time; 0: the cloud does not number its withdrawals. A cloud
	// that does starts with 1 for "none yet", so its first withdrawal has number 2.
	Number int64 `json:"number,omitempty"`
	// Probe marks a token with which the cloud checks, as the key's own subject, that the server answers.
	Probe bool `json:"probe,omitempty"`
}

// ForServer returns the claims with a server as their audience.
func (c AccessClaims) ForServer(s ServerURL) AccessClaims {
	c.Audience = strictAudience(s)
	return c
}

// Scopes returns the token's scopes; [VerifyAccess] has checked their form.
func (c AccessClaims) Scopes() Scopes {
	scopes, err := ParseScopes(c.Scope)
	if err != nil {
		return nil
	}
	return scopes
}

func (k Key) signingKey() SigningKey {
	return SigningKey{KeyID: k.ID.String(), method: jwt.SigningMethodEdDSA, key: k.PrivateKey()}
}

// SignAccess signs a derived access token with the API key's key pair.
func (k Key) SignAccess(c AccessClaims) (Secret, error) { return sign(TypeAccess, k.signingKey(), c) }

// TokenKeyID returns the key ID in a token's `kid`, unverified, to look up that key.
//
// The token is a derived access token, a revocation or a withdrawal.
func TokenKeyID(token Secret) (uuid.UUID, error) {
	h, err := readHeader(token.Reveal())
	if err != nil {
		return uuid.UUID{}, refuse(CodeTokenMalformed, "the token cannot be read: %w", err)
	}
	id, err := uuid.Parse(h.KeyID)
	if err != nil || len(h.KeyID) != 36 {
		return uuid.UUID{}, refuse(CodeTokenMalformed, "the token names no key")
	}
	return id, nil
}

// VerifyAccess verifies a derived access token with its API key's public key.
//
// It checks signature, lifetime, audience (one of servers) and the form of all claims. The caller still has to check that the
// key is alive and which of the scopes it covers.
func VerifyAccess(token Secret, public ed25519.PublicKey, servers []ServerURL, now time.Time) (AccessClaims, error) {
	var c AccessClaims
	id, err := TokenKeyID(token)
	if err != nil {
		return c, err
	}
	err = VerifyToken(token, TypeAccess, AlgEdDSA, func(string) (any, error) { return public, nil }, &c)
	if err != nil {
		return AccessClaims{}, refuse(CodeTokenInvalid, "the access token's signature is not that of its key").Because(err)
	}
	c.KeyID = id
	switch err := c.Times.check(now, MaxAccessTokenLife); {
	case errors.Is(err, errExpired):
		return AccessClaims{}, refuse(CodeTokenExpired, "the access token has expired").WithHint("fetch a new credential")
	case errors.Is(err, errFuture):
		return AccessClaims{}, refuse(CodeTokenClock, "the access token is from the future: the server's clock is behind").
			WithHint("set the server's clock, for example with NTP")
	case err != nil:
		return AccessClaims{}, refuse(CodeTokenLifetime, "the access token's lifetime is over %s", MaxAccessTokenLife)
	}
	if !slices.ContainsFunc(servers, func(s ServerURL) bool { return s.Same(ServerURL(c.Audience)) }) {
		return AccessClaims{}, refuse(CodeTokenAudience, "the access token is for %q, not for this server", Clip(string(c.Audience), maxShown))
	}
	if !PlainSubject(c.Subject) || !PlainText(c.Connection, maxSubject) {
		return AccessClaims{}, refuse(CodeTokenSubject, "the access token names no member, or not in plain text")
	}
	if c.Number < 0 || c.Number > MaxStatementNumber {
		return AccessClaims{}, refuse(CodeTokenNumber, "the number in the access token is not between 1 and %d", int64(MaxStatementNumber))
	}
	if c.Role != "" && !c.Role.Valid() {
		return AccessClaims{}, refuse(CodeTokenRole, "the access token has no known role")
	}
	if _, err := ParseScopes(c.Scope); err != nil {
		return AccessClaims{}, refuse(CodeTokenScope, "the access token's scopes are malformed")
	}
	return c, nil
}

// revocationClaims are the claims of a revocation: a statement, signed with an API key's own key pair, that the key shall die.
// It never expires, since all it can do is kill that key. Anyone may deliver it: the cloud once it reaches the server, or the
// person who disconnects.
type revocationClaims struct {
	noClaims
	IssuedAt int64  `json:"iat"`
	Reason   string `json:"reason"`
	Subject  string `json:"sub"`
}

// Revocation says who wants a key to die, and why.
type Revocation struct {
	KeyID   uuid.UUID
	Subject string
	Reason  string
}

// SignRevocation signs the statement that this key is to be revoked.
func (k Key) SignRevocation(subject, reason string, now time.Time) (Secret, error) {
	return sign(TypeRevocation, k.signingKey(), revocationClaims{IssuedAt: now.Unix(), Reason: reason, Subject: subject})
}

// VerifyRevocation verifies a revocation with the public key of the API key it names.
func VerifyRevocation(token Secret, public ed25519.PublicKey) (Revocation, error) {
	id, err := TokenKeyID(token)
	if err != nil {
		return Revocation{}, err
	}
	var c revocationClaims
	err = VerifyToken(token, TypeRevocation, AlgEdDSA, func(string) (any, error) { return public, nil }, &c)
	if err != nil {
		return Revocation{}, refuse(CodeRevocationInvalid, "the revocation is not signed by its key").Because(err)
	}
	return Revocation{KeyID: id, Subject: Clip(c.Subject, maxShown), Reason: Clip(c.Reason, maxShown)}, nil
}
