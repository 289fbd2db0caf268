package bridge

import (
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// Headers that carry a credential to a server.
const (
	HeaderAuthorization = "Authorization"
	HeaderAPIKey        = "X-Api-Key"
	HeaderAceAPIKey     = "X-Ace-Api-Key"
)

// maxCredential is the longest credential that is parsed: a derived access token or cloud JWT, with room to spare.
const maxCredential = 8 << 10

// Presented is a credential as a request carries it, not yet verified.
type Presented struct {
	Value Secret
	// KeyID is set if the credential came as KEYID.KEY; [Presented.Key] checks that it is the key's own.
	KeyID uuid.NullUUID
}

// Credential returns the one credential of a request, or zero if there is none.
//
// It reads Authorization: Bearer, X-API-Key and X-Ace-Api-Key. Two credentials are an error (RFC 6750 section 2): which of them
// counts must not depend on who reads the request.
func Credential(h http.Header) (Presented, error) {
	if len(h[HeaderAuthorization]) == 0 && len(h[HeaderAceAPIKey]) == 0 && len(h[HeaderAPIKey]) == 1 { // the usual case
		return ParsePresented(NewSecret(h[HeaderAPIKey][0]))
	}
	var found []string
	for _, v := range h[HeaderAuthorization] {
		if scheme, token, ok := strings.Cut(v, " "); ok && strings.EqualFold(scheme, "Bearer") {
			found = append(found, strings.TrimSpace(token))
		}
	}
	found = append(found, h[HeaderAPIKey]...)
	found = append(found, h[HeaderAceAPIKey]...)
	switch {
	case len(found) == 0:
		return Presented{}, nil
	case len(found) > 1:
		return Presented{}, E(Invalid, CodeCredentialAmbiguous,
			"the request carries more than one credential").
			WithHint("send one of Authorization: Bearer, X-API-Key or X-Ace-Api-Key, once")
	}
	return ParsePresented(NewSecret(found[0]))
}

// ParsePresented splits KEYID.KEY; any other value is taken as a whole.
func ParsePresented(value Secret) (Presented, error) {
	s := value.Reveal()
	if s == "" || len(s) > maxCredential {
		return Presented{}, E(Unauthenticated, CodeCredentialMalformed, "the credential is empty or too long")
	}
	id, key, ok := strings.Cut(s, ".")
	if !ok || !strings.HasPrefix(key, "ace_") {
		return Presented{Value: value}, nil
	}
	parsed, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return Presented{}, E(Unauthenticated, CodeCredentialMalformed, "the text before the key is not a key ID")
	}
	return Presented{Value: NewSecret(key), KeyID: uuid.NullUUID{UUID: parsed, Valid: true}}, nil
}

// IsKey reports whether the credential begins like an API key. It checks nothing else.
func (p Presented) IsKey() bool { return strings.HasPrefix(p.Value.Reveal(), "ace_") }

// Key parses the credential as an API key. A key ID that came with it must match.
func (p Presented) Key() (Key, error) {
	k, err := ParseKey(p.Value)
	if err != nil {
		return Key{}, err
	}
	if p.KeyID.Valid && p.KeyID.UUID != k.ID {
		return Key{}, E(Unauthenticated, CodeKeyIDMismatch, "the key ID that was sent is not the key's own")
	}
	return k, nil
}
