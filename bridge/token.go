package bridge

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// The `typ` header of each kind of token (RFC 8725 section 3.11).
//
// Explicit typing keeps one kind of token from being taken for another.
const (
	TypeConnect    = "ace-connect+jwt"
	TypeSession    = "ace-session+jwt"
	TypeAccess     = "ace-access+jwt"
	TypeRevocation = "ace-revocation+jwt"
	TypeWithdrawal = "ace-withdrawal+jwt"
	TypeUser       = "ace-user+jwt"
)

const maxToken = 8 << 10

// NewTokenID returns a `jti` of 256 random bits.
func NewTokenID() string { return RandomToken(32) }

// RandomToken returns n random bytes in base64url.
func RandomToken(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b64.EncodeToString(b)
}

// header is the part of a JOSE header that is read. Of the forbidden fields only their presence matters, even if empty.
type header struct {
	Type     string          `json:"typ"`
	Alg      string          `json:"alg"`
	KeyID    string          `json:"kid"`
	Critical json.RawMessage `json:"crit"`
	JKU      json.RawMessage `json:"jku"`
	JWK      json.RawMessage `json:"jwk"`
	X5U      json.RawMessage `json:"x5u"`
	X5C      json.RawMessage `json:"x5c"`
	Zip      json.RawMessage `json:"zip"`
	B64      json.RawMessage `json:"b64"`
}

// parseHeader decodes the header of a compact JWS without trusting any of it.
func parseHeader(token string) (header, error) {
	var h header
	if len(token) > maxToken {
		return h, errors.New("the token is too long")
	}
	first := 0
	dots := 0
	for i := range len(token) {
		if token[i] == '.' {
			if dots++; dots == 1 {
				first = i
			}
		}
	}
	if dots != 2 {
		return h, errors.New("the token does not have three parts")
	}
	raw, err := decode64(token[:first])
	if err != nil {
		return h, errors.New("the token's header is not base64url")
	}
	if err := decodeObject(raw, &h); err != nil {
		return header{}, fmt.Errorf("the token's header is malformed: %w", err)
	}
	return h, nil
}

// CheckTokenHeader refuses a foreign token whose header can be read in more than one way.
func CheckTokenHeader(token Secret) error {
	text, _, _ := strings.Cut(token.Reveal(), ".")
	raw, err := decode64(text)
	if err != nil {
		return errors.New("the token's header is not base64url")
	}
	return decodeObject(raw, &header{})
}

// readHeader is parseHeader, and refuses header fields that are not supported. golang-jwt checks neither `typ` nor `crit` (RFC
// 7515 section 4.1.11), so this package does.
func readHeader(token string) (header, error) {
	h, err := parseHeader(token)
	if err != nil {
		return h, err
	}
	for _, forbidden := range []json.RawMessage{h.Critical, h.JKU, h.JWK, h.X5U, h.X5C, h.Zip, h.B64} {
		if forbidden != nil {
			return h, errors.New("the token's header has crit, jku, jwk, x5u, x5c, zip or b64, which are not supported")
		}
	}
	return h, nil
}

// TokenType returns the `typ` of a token, unverified, to choose how to verify it; "" if there is none.
func TokenType(token Secret) string {
	h, err := readHeader(token.Reveal())
	if err != nil {
		return ""
	}
	return h.Type
}

// sign makes a compact JWS.
func sign(typ string, key SigningKey, claims jwt.Claims) (Secret, error) {
	t := jwt.NewWithClaims(key.method, claims)
	t.Header["typ"] = typ
	t.Header["kid"] = key.KeyID
	s, err := t.SignedString(key.key)
	return NewSecret(s), err
}

// SignToken signs the claims of a token with its type in `typ`.
func (k SigningKey) SignToken(typ string, claims jwt.Claims) (Secret, error) {
	return sign(typ, k, claims)
}

// VerifyToken checks a token's header and signature and decodes its claims.
//
// typ and alg must match exactly; key returns the verification key for the token's `kid`. Header and claims are decoded
// strictly (see [DecodeStrict]). The claims are not checked: comparing their times and names is up to the caller.
func VerifyToken(token Secret, typ, alg string, key func(kid string) (any, error), claims any) error {
	h, err := readHeader(token.Reveal())
	if err != nil {
		return err
	}
	if h.Type != typ {
		return errors.New("the token is of another type")
	}
	if h.Alg != alg {
		return errors.New("the token is signed with another algorithm")
	}
	method := jwt.GetSigningMethod(alg)
	if method == nil {
		return errors.New("the algorithm is not known here")
	}
	verifier, err := key(h.KeyID)
	if err != nil {
		return err
	}
	text := token.Reveal()
	last := strings.LastIndexByte(text, '.')
	signature, err := decode64(text[last+1:])
	if err != nil {
		return errors.New("the token's signature is not base64url")
	}
	if err := method.Verify(text[:last], signature, verifier); err != nil {
		return err
	}
	payload, err := decode64(text[strings.IndexByte(text, '.')+1 : last])
	if err != nil {
		return errors.New("the token's claims are not base64url")
	}
	if err := decodeObject(payload, claims); err != nil {
		return &claimsError{err}
	}
	return nil
}

// decodeObject is DecodeStrict for a value that must be an object, not null.
func decodeObject(raw []byte, v any) error {
	if jsontext.Value(raw).Kind() != '{' {
		return errors.New("it is not a JSON object")
	}
	return DecodeStrict(raw, v)
}

// claimsError means that the signature is valid but the claims cannot be read.
type claimsError struct{ err error }

// Error implements error.
func (e *claimsError) Error() string { return "the token's claims are malformed: " + e.err.Error() }

// Unwrap returns the underlying error, for errors.Is and errors.As.
func (e *claimsError) Unwrap() error { return e.err }

// strictAudience is an `aud` that is a single string; golang-jwt would accept an array too, as RFC 7519 allows.
type strictAudience string

func (a *strictAudience) UnmarshalJSON(raw []byte) error {
	var s string
	if len(raw) == 0 || raw[0] != '"' {
		return errors.New("aud is not one string")
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	*a = strictAudience(s)
	return nil
}

// Times are a token's time claims, in whole seconds since 1970 (NumericDate, RFC 7519 section 2).
type Times struct {
	IssuedAt  int64 `json:"iat"`
	ExpiresAt int64 `json:"exp"`
}

// NewTimes returns the claims of a token that is issued now and valid for life.
func NewTimes(now time.Time, life time.Duration) Times {
	return Times{IssuedAt: now.Unix(), ExpiresAt: now.Add(life).Unix()}
}

var (
	errFuture   = errors.New("issued in the future")
	errExpired  = errors.New("expired")
	errLifetime = errors.New("lives longer than allowed")
)

// check checks the times against our clock; the issuer's may be ahead by up to ClockSkew.
func (t Times) check(now time.Time, maxLife time.Duration) error {
	at := now.Unix()
	switch {
	case t.IssuedAt <= 0 || t.ExpiresAt <= t.IssuedAt || t.ExpiresAt-t.IssuedAt > int64(maxLife/time.Second):
		return errLifetime
	case t.IssuedAt > at+int64(ClockSkew/time.Second):
		return errFuture
	case t.ExpiresAt <= at:
		return errExpired
	}
	return nil
}

// noClaims implements jwt.Claims for types whose claims are checked here; jwt's own validation is off and never calls it.
type noClaims struct{}

func (noClaims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (noClaims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (noClaims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (noClaims) GetIssuer() (string, error)                   { return "", nil }
func (noClaims) GetSubject() (string, error)                  { return "", nil }
func (noClaims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }
