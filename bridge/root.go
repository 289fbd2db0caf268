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

// SigningRoot is the root of a cloud's keys (ACE_CLOUD_SIGNING_KEY).
//
// The cloud's signing keys, the cloud secrets of its organizations and the sealing keys are derived from it by HKDF-SHA256 (RFC
// 5869). It holds one or more numbered roots; the first one signs, all of them verify.
type SigningRoot struct {
	roots []numberedRoot
}

type numberedRoot struct {
	n    int
	seed [32]byte
}

// NewSigningRoot makes a new random value for ACE_CLOUD_SIGNING_KEY.
func NewSigningRoot() Secret {
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	return NewSecret("1." + b64.EncodeToString(seed[:]))
}

// ParseSigningRoot parses ACE_CLOUD_SIGNING_KEY.
//
// The form is <n>.<32 bytes in base64url>; several are separated by commas, the signing one first.
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
			return bad("the number before the key is not positive, or is used twice")
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

// derive derives 32 bytes for a purpose (HKDF-SHA256, RFC 5869).
func (r numberedRoot) derive(info string) []byte {
	out, err := hkdf.Key(sha256.New, r.seed[:], nil, info, 32)
	if err != nil {
		panic(err) // only for a length that HKDF cannot produce
	}
	return out
}

// joinInfo builds HKDF info strings; none of the parts can contain a NUL.
func joinInfo(parts ...string) string { return strings.Join(parts, "\x00") }

func (r numberedRoot) signing() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(r.derive(joinInfo("ace cloud signing v1")))
}

// orgSecret derives the cloud secret that a server of the organization shares with the cloud.
func (r numberedRoot) orgSecret(issuer ServerURL, org string) []byte {
	return r.derive(joinInfo("ace cloud secret v1", string(issuer), org))
}

// LinkSecret returns the secret of the challenges that servers sign to open links. All replicas of a cloud share it.
func (r SigningRoot) LinkSecret() Secret {
	return NewSecret(b64.EncodeToString(r.roots[0].derive(joinInfo("ace cloud links v1"))))
}

// InternalKeys returns the keys that sign the certificates with which the replicas of a cloud prove themselves to each other. The
// first one signs; certificates of all of them count.
func (r SigningRoot) InternalKeys() []ed25519.PrivateKey {
	out := make([]ed25519.PrivateKey, len(r.roots))
	for i, root := range r.roots {
		out[i] = ed25519.NewKeyFromSeed(root.derive(joinInfo("ace cloud internal v1")))
	}
	return out
}

// sealing derives the key pair to which the key of one connect token is sealed.
func (r numberedRoot) sealing(jti string) (hpke.PrivateKey, error) {
	return hpke.DHKEM(ecdh.X25519()).DeriveKeyPair(r.derive(joinInfo("ace sealing v1", jti)))
}

// TrustValues returns the settings with which a server trusts this cloud for an organization.
//
// They are the values of ACE_CLOUD_PUBLIC_KEY and ACE_CLOUD_JWT_SECRET, as `ace org trust` prints them. A server needs one.
func (r SigningRoot) TrustValues(issuer ServerURL, org string) (publicKey string, jwtSecret Secret) {
	first := r.roots[0]
	return PublicKeyValue(issuer, org, first.n, first.signing().Public().(ed25519.PublicKey)),
		JWTSecretValue(issuer, org, first.n, first.orgSecret(issuer, org))
}

// SigningKey signs tokens with one `kid`.
type SigningKey struct {
	KeyID  string
	method jwt.SigningMethod
	key    any
}

// SigningKey returns the key that signs the cloud's own tokens, such as session tokens.
func (r SigningRoot) SigningKey() SigningKey {
	first := r.roots[0]
	return SigningKey{KeyID: publicKeyID(first.n), method: jwt.SigningMethodEdDSA, key: first.signing()}
}

// ConnectKey returns the key that signs connect tokens for a server of org.
//
// trusted are the key IDs that the server's discovery document lists; if there are none, it is the cloud's signing key. ok is
// false if the server trusts none of this cloud's keys for that organization: it was set up for another cloud or organization,
// or with a key that has been retired since.
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

// RawSigningKey signs with a cloud secret that ace did not make, for clouds that already have one, and for tests.
func RawSigningKey(secret Secret) SigningKey {
	return SigningKey{KeyID: rawKeyID, method: jwt.SigningMethodHS256, key: []byte(secret.Reveal())}
}

// VerificationKeys returns the public signing keys by `kid`.
//
// They make up the JWKS document (RFC 7517) and verify the cloud's own tokens.
func (r SigningRoot) VerificationKeys() map[string]ed25519.PublicKey {
	out := make(map[string]ed25519.PublicKey, len(r.roots))
	for _, root := range r.roots {
		out[publicKeyID(root.n)] = root.signing().Public().(ed25519.PublicKey)
	}
	return out
}

// CurrentKeyID returns the `kid` of [SigningRoot.SigningKey].
func (r SigningRoot) CurrentKeyID() string { return publicKeyID(r.roots[0].n) }
