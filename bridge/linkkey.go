package bridge

import "crypto/ed25519"

// maxLinkKey bounds the text of a link's public key.
const maxLinkKey = 64

// LinkKeyText returns the public key of a link's credential as text: base64url without padding.
func LinkKeyText(key ed25519.PublicKey) string { return b64.EncodeToString(key) }

// ParseLinkKey reads the public key of a link's credential.
func ParseLinkKey(text string) (ed25519.PublicKey, error) {
	if len(text) > maxLinkKey {
		return nil, errLinkKey
	}
	raw, err := decode64(text)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, errLinkKey
	}
	return raw, nil
}

var errLinkKey = E(Invalid, CodeLinkKeyMalformed, "the link's key is not an Ed25519 public key in base64url")
