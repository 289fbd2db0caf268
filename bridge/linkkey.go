package bridge

import (
	"crypto/ed25519"
	"slices"
	"strings"
)

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

// MaxJoinProofs bounds the proofs of one step of a join.
const MaxJoinProofs = 16

// JoinProof is what a server signs that joins again, with each key of a link that its cloud may know.
//
// The ID of a server is no secret: without a proof, anybody with a join token could take the server's place. One proof is for one
// step of a join with one token, at one cloud. LinkKey and KeyID are empty at the first step, when there are none yet.
type JoinProof struct {
	Cloud   ServerURL
	Token   string // its [JoinToken.Hash]
	Server  string // ID
	LinkKey string // public key of the new link
	KeyID   string // of the new API key
}

const (
	joinProofLines = 6
	joinProofChars = 86 // of an Ed25519 signature in base64url
)

func (p JoinProof) signed() string {
	return strings.Join([]string{"ace join proof v1", string(p.Cloud), p.Token, p.Server, p.LinkKey, p.KeyID}, "\n")
}

// Sign returns the proof in base64url.
func (p JoinProof) Sign(key ed25519.PrivateKey) string {
	return b64.EncodeToString(ed25519.Sign(key, []byte(p.signed())))
}

// Verify reports whether one of the keys has signed one of the proofs. It fails if any of them is not in the form of [JoinProof.Sign].
func (p JoinProof) Verify(proofs []string, keys []ed25519.PublicKey) (bool, error) {
	if len(proofs) > MaxJoinProofs {
		return false, E(Invalid, CodeJoinMalformed, "a join has at most %d proofs", MaxJoinProofs)
	}
	text, found := p.signed(), false
	if strings.Count(text, "\n") != joinProofLines-1 {
		return false, E(Invalid, CodeJoinMalformed, "what a joining server says of itself has several lines")
	}
	for _, proof := range proofs {
		if len(proof) != joinProofChars {
			return false, errJoinProof
		}
		signature, err := decode64(proof)
		if err != nil {
			return false, errJoinProof
		}
		found = found || slices.ContainsFunc(keys, func(key ed25519.PublicKey) bool { return ed25519.Verify(key, []byte(text), signature) })
	}
	return found, nil
}

var errJoinProof = E(Invalid, CodeJoinMalformed, "a proof is not an Ed25519 signature in base64url")
