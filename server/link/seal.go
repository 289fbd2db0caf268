package link

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/acebridge/ace/bridge"
)

// seals keep the private keys of links unreadable for whoever has only the database.
type seals struct{ aead cipher.AEAD } // nil: there is no secret to seal with

// newSeals derives the key that seals from ACE_JWT_SECRET.
func newSeals(secret bridge.Secret) seals {
	if secret.IsZero() {
		return seals{}
	}
	key, err := hkdf.Key(sha256.New, []byte(secret.Reveal()), nil, "ace link keys v1", 32)
	if err != nil {
		panic(err) // only for a length that HKDF cannot produce
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for a length that AES does not have
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return seals{aead}
}

var errNoSecret = bridge.E(bridge.Invalid, bridge.CodeJWTSecretShort, "without ACE_JWT_SECRET the server cannot keep the key of a link").
	WithHint("set ACE_JWT_SECRET to at least 32 random bytes, for example from: openssl rand -base64 48")

// fresh makes a key pair. The private half comes sealed, bound to the API key's ID.
func (s seals) fresh(keyID string) (ed25519.PublicKey, string, error) {
	if s.aead == nil {
		return nil, "", errNoSecret
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("make the key of a link: %w", err)
	}
	sealed := s.aead.Seal(nil, nil, private.Seed(), []byte(keyID)) //nolint:gosec // this AEAD makes its nonces itself
	return public, base64.RawURLEncoding.EncodeToString(sealed), nil
}

// open unseals a private key.
func (s seals) open(keyID, sealed string) (ed25519.PrivateKey, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err == nil && s.aead == nil {
		err = errors.New("there is no secret")
	}
	var seed []byte
	if err == nil {
		seed, err = s.aead.Open(nil, nil, raw, []byte(keyID))
	}
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, bridge.E(bridge.Invalid, bridge.CodeLinkUnreadable, "the stored key of the link cannot be read: ACE_JWT_SECRET has changed since").
			Because(err).WithHint("set ACE_JWT_SECRET back; or in the dashboard, %s", bridge.RejoinHint)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}
