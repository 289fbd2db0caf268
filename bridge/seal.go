package bridge

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

const (
	sealedPrefix = "ace_sealed1."
	maxSealed    = 2 << 10
)

// SealBinding is what a sealed key is bound to (HPKE's info, RFC 9180 section 5.1).
//
// A sealed key cannot be opened by someone else, or for another server, organization or connect token.
type SealBinding struct {
	Issuer  ServerURL // the cloud
	Org     string
	Server  ServerURL // the connect token's audience
	Subject string    // the member who connects
	JTI     string    // the connect token
}

// info encodes the binding unambiguously.
func (b SealBinding) info() []byte {
	info, err := json.Marshal([]string{"ace sealed key v1", string(b.Issuer), b.Org, string(b.Server), b.Subject, b.JTI})
	if err != nil {
		panic(err) // strings always encode
	}
	return info
}

// SealingKey returns the public key that a connect token names, in base64url.
//
// Each token has its own, derived from the cloud's root and the token's jti, so the cloud need not store any.
func (r SigningRoot) SealingKey(jti string) (string, error) {
	private, err := r.roots[0].sealing(jti)
	if err != nil {
		return "", fmt.Errorf("derive a sealing key: %w", err)
	}
	return strconv.Itoa(r.roots[0].n) + "." + b64.EncodeToString(private.PublicKey().Bytes()), nil
}

// Seal encrypts an API key to the sealing key of a connect token.
//
// It uses HPKE in base mode (RFC 9180) with X25519, HKDF-SHA256 and ChaCha20-Poly1305. The result is text:
// ace_sealed1.<jti>.<n>.<ciphertext>.
func Seal(sealingKey string, b SealBinding, key Key) (string, error) {
	n, text, ok := strings.Cut(sealingKey, ".")
	if !ok || len(sealingKey) > maxSealed {
		return "", E(Invalid, CodeSealingKeyMalformed, "the connect token's sealing key is malformed")
	}
	raw, err := decode64(text)
	if err != nil {
		return "", E(Invalid, CodeSealingKeyMalformed, "the connect token's sealing key is not base64url")
	}
	public, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(raw)
	if err != nil {
		return "", E(Invalid, CodeSealingKeyMalformed, "the connect token's sealing key is not an X25519 key")
	}
	ciphertext, err := hpke.Seal(public, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), b.info(), []byte(key.Text().Reveal()))
	if err != nil {
		return "", fmt.Errorf("seal a key: %w", err)
	}
	return sealedPrefix + strings.Join([]string{b.JTI, n, b64.EncodeToString(ciphertext)}, "."), nil
}

// SealedJTI returns the jti in a sealed key, unverified, to look up its connect token.
func SealedJTI(sealed string) (string, error) {
	jti, _, _, err := splitSealed(sealed)
	return jti, err
}

var errSealed = E(Invalid, CodeSealedKeyInvalid,
	"the sealed key cannot be opened: it was made for another member, server or connect, or it is damaged").
	WithHint("run the connect again")

// splitSealed splits a sealed key into the jti, the number of the root, and the ciphertext.
func splitSealed(sealed string) (jti string, n int, ciphertext []byte, err error) {
	rest, ok := strings.CutPrefix(sealed, sealedPrefix)
	parts := strings.Split(rest, ".")
	if !ok || len(sealed) > maxSealed || len(parts) != 3 {
		return "", 0, nil, errSealed
	}
	if n, err = strconv.Atoi(parts[1]); err != nil || strconv.Itoa(n) != parts[1] {
		return "", 0, nil, errSealed
	}
	if ciphertext, err = decode64(parts[2]); err != nil {
		return "", 0, nil, errSealed
	}
	return parts[0], n, ciphertext, nil
}

// OpenSealed decrypts a sealed key and parses it. b.JTI must be the sealed key's.
func (r SigningRoot) OpenSealed(sealed string, b SealBinding) (Key, error) {
	jti, n, ciphertext, err := splitSealed(sealed)
	if err != nil {
		return Key{}, err
	}
	if jti != b.JTI {
		return Key{}, errSealed
	}
	for _, root := range r.roots {
		if root.n != n {
			continue
		}
		private, err := root.sealing(jti)
		if err != nil {
			return Key{}, errSealed.Because(err)
		}
		text, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), b.info(), ciphertext)
		if err != nil {
			return Key{}, errSealed.Because(err)
		}
		return ParseKey(NewSecret(string(text)))
	}
	return Key{}, errSealed
}
