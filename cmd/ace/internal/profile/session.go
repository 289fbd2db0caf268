package profile

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// noteEnd stores in config.json when a session ends.
func (s *Store) noteEnd(name string, renewed Session) error {
	c, err := s.Config()
	if err != nil || c.Profiles[name] == nil {
		return err
	}
	if end := SessionEnd(renewed); end != nil {
		c.Profiles[name].ExpiresAt = *end
	}
	return s.WriteConfig(c)
}

// SessionOver is the error of a session that has ended.
func SessionOver(sel Selection, s Session) error {
	e := term.Explain(NotLoggedIn(sel))
	if s.IsKey() {
		return bridge.E(bridge.Unauthenticated, bridge.CodeKeyExpired, "the API key %s has expired", s.KeyID).
			WithHint("ask somebody who may to run: ace api-key revive %s --cloud; then log in with the new secret", s.KeyID)
	}
	return bridge.E(bridge.Unauthenticated, bridge.CodeSessionExpired, "your session at %s has ended", sel.Cloud).WithHint("%s",
		e.Hint)
}

// NewSession makes a session from the answer to a login.
func NewSession(method string, t api.TokenAnswer, now time.Time) Session {
	s := Session{Method: method}
	s.take(t, now)
	return s
}

// take replaces the session's tokens by those of an answer.
func (s *Session) take(t api.TokenAnswer, now time.Time) {
	s.AccessToken, s.ExpiresAt = t.AccessToken, now.Add(time.Duration(t.ExpiresIn)*time.Second).UTC()
	if !t.RefreshToken.IsZero() { // not every refresh brings a new one (RFC 6749 section 6)
		s.RefreshToken, s.RefreshExpiresAt = t.RefreshToken, time.Time{}
	}
	if t.RefreshExpiresIn > 0 {
		s.RefreshExpiresAt = now.Add(time.Duration(t.RefreshExpiresIn) * time.Second).UTC()
	}
}

// TokenClaims are a token's claims, unverified. They are for messages only.
type TokenClaims struct {
	Issuer    string `json:"iss"`
	Org       string `json:"org"`
	Audience  any    `json:"aud"`
	ExpiresAt int64  `json:"exp"`
}

// Peek reads the claims of a token without verifying it.
func Peek(token bridge.Secret) TokenClaims {
	var c TokenClaims
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return c
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil && json.Unmarshal(raw, &c) != nil {
		return TokenClaims{}
	}
	return c
}

// KeepEndpoints stores the endpoints that differ from an ace cloud's usual ones.
func (s *Session) KeepEndpoints(cloud bridge.ServerURL, m api.Metadata) {
	if m.TokenEndpoint != cloud.Join("/oauth/token") {
		s.TokenEndpoint = m.TokenEndpoint
	}
	if m.RevocationEndpoint != cloud.Join("/oauth/revoke") {
		s.RevocationEndpoint = m.RevocationEndpoint
	}
}

// SessionEnd returns when a session ends; nil means never. A person then has to log in again.
func SessionEnd(s Session) *time.Time {
	switch {
	case !s.RefreshExpiresAt.IsZero():
		return &s.RefreshExpiresAt
	case s.ExpiresAt.IsZero():
		return nil
	}
	return &s.ExpiresAt
}

// Holder names a credential's holder for messages. That is a person with their role, or the service that has an API key.
func Holder(email, service, role, org string) string {
	if email == "" {
		return fmt.Sprintf("%s (an API key of %s)", service, org)
	}
	return fmt.Sprintf("%s (%s of %s)", email, role, org)
}
