package bridge

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"strconv"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// SigningRoot is the root of a cloud's keys (ACE_CLOUD_SIGNING_KEY): its signing keys, the cloud secrets of its
// organizations and the sealing keys are all derived from it by HKDF-SHA256 (RFC 5869). It holds one or more numbered
// roots; the first signs, all verify.
type SigningRoot struct {
	roots []numberedRoot
}

type numberedRoot struct {
	n    int
	seed [32]byte
}

// NewSigningRoot makes a value for ACE_CLOUD_SIGNING_KEY.
func NewSigningRoot() Secret {
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	return NewSecret("1." + b64.EncodeToString(seed[:]))
}

// ParseSigningRoot reads ACE_CLOUD_SIGNING_KEY: <n>.<32 bytes of base64url>, several separated by commas with the
// signing one first.
func ParseSigningRoot(value Secret) (SigningRoot, error) {
	bad := func(why string) (SigningRoot, error) {
		return SigningRoot{}, E(Invalid, CodeSigningKeyMalformed, "ACE_CLOUD_SIGNING_KEY: %s", why).
			WithHint("make one with: ace cloud new-signing-key")
	}
	var root SigningRoot
	seen := map[int]bool{}
	for _, part := range splitList(value.Reveal()) {
		number, text, ok := strings.Cut(part, ".")
		if !ok {
			return bad("a value is not of the form <n>.<key>")
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > maxSigningNumber || seen[n] {
			return bad("the number before the key is not a positive number of its own")
		}
		seen[n] = true
		seed, err := decode64(text)
		if err != nil || len(seed) != 32 {
			return bad("a key is not 32 bytes of base64url")
		}
		root.roots = append(root.roots, numberedRoot{n: n, seed: [32]byte(seed)})
	}
	if len(root.roots) == 0 {
		return bad("it is empty")
	}
	return root, nil
}

func (r numberedRoot) derive(info string) []byte {
	out, err := hkdf.Key(sha256.New, r.seed[:], nil, info, 32)
	if err != nil {
		panic(err) // only for a length that HKDF cannot make
	}
	return out
}

// joinInfo builds HKDF info strings; none of the parts can hold a NUL.
func joinInfo(parts ...string) string { return strings.Join(parts, "\x00") }

func (r numberedRoot) signing() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(r.derive(joinInfo("ace cloud signing v1")))
}

func (r numberedRoot) orgSecret(issuer ServerURL, org string) []byte {
	return r.derive(joinInfo("ace cloud secret v1", string(issuer), org))
}

func (r numberedRoot) sealing(jti string) (hpke.PrivateKey, error) {
	return hpke.DHKEM(ecdh.X25519()).DeriveKeyPair(r.derive(joinInfo("ace sealing v1", jti)))
}

// TrustValues are the settings of one organization, as `ace org trust` prints them: the values of
// ACE_CLOUD_PUBLIC_KEY and ACE_CLOUD_JWT_SECRET, of which a server needs one.
func (r SigningRoot) TrustValues(issuer ServerURL, org string) (publicKey string, jwtSecret Secret) {
	first := r.roots[0]
	return PublicKeyValue(issuer, org, first.n, first.signing().Public().(ed25519.PublicKey)),
		JWTSecretValue(issuer, org, first.n, first.orgSecret(issuer, org))
}

// SigningKey signs tokens under one `kid`.
type SigningKey struct {
	KeyID  string
	method jwt.SigningMethod
	key    any
}

// SigningKey returns the key that signs a cloud's own tokens, session tokens among them.
func (r SigningRoot) SigningKey() SigningKey {
	first := r.roots[0]
	return SigningKey{KeyID: publicKeyID(first.n), method: jwt.SigningMethodEdDSA, key: first.signing()}
}

// ConnectKey returns the key that signs connect tokens for a server of org which trusts the given key IDs, as its
// discovery document lists them; with none given, the signing key. ok is false when the server trusts none of this
// cloud's keys for that organization: it was set up for another cloud or organization, or with a key since retired.
func (r SigningRoot) ConnectKey(issuer ServerURL, org string, trusted []string) (key SigningKey, ok bool) {
	if len(trusted) == 0 {
		return r.SigningKey(), true
	}
	for _, root := range r.roots {
		for _, kid := range trusted {
			switch kid {
			case publicKeyID(root.n):
				return SigningKey{KeyID: kid, method: jwt.SigningMethodEdDSA, key: root.signing()}, true
			case jwtSecretID(org, root.n):
				return SigningKey{KeyID: kid, method: jwt.SigningMethodHS256, key: root.orgSecret(issuer, org)}, true
			}
		}
	}
	return SigningKey{}, false
}

// RawSigningKey signs with a cloud secret that is not ace's own; it is for clouds that have one already, and for tests.
func RawSigningKey(secret Secret) SigningKey {
	return SigningKey{KeyID: rawKeyID, method: jwt.SigningMethodHS256, key: []byte(secret.Reveal())}
}

// VerificationKeys lists the public signing keys by `kid`, for a JWKS document (RFC 7517) and to verify the cloud's own
// tokens.
func (r SigningRoot) VerificationKeys() map[string]ed25519.PublicKey {
	out := make(map[string]ed25519.PublicKey, len(r.roots))
	for _, root := range r.roots {
		out[publicKeyID(root.n)] = root.signing().Public().(ed25519.PublicKey)
	}
	return out
}

// CurrentKeyID is the `kid` of [SigningRoot.SigningKey].
func (r SigningRoot) CurrentKeyID() string { return publicKeyID(r.roots[0].n) }
