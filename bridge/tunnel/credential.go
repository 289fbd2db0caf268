package tunnel

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
)

const (
	scheme        = "AceLink"
	challengeLife = 30 * time.Second
	nonceBytes    = 16
	maxHeader     = 1024 // bytes of an Authorization or WWW-Authenticate header
	maxKeyID      = 64
)

var encoding = base64.RawURLEncoding.Strict()

// Challenges are what a server signs to open a link. They need no memory: a replica reads those of the others.
type Challenges struct {
	key []byte
	now func() time.Time
}

// NewChallenges derives them from a secret that all replicas of a cloud share.
func NewChallenges(secret bridge.Secret, now func() time.Time) *Challenges {
	key, err := hkdf.Key(sha256.New, []byte(secret.Reveal()), nil, "ace link challenges v1", sha256.Size)
	if err != nil {
		panic(err) // only for a length that HKDF cannot produce
	}
	return &Challenges{key, now}
}

// issue returns a new challenge: a time, random bytes, and a MAC of both.
func (c *Challenges) issue() string {
	raw := binary.BigEndian.AppendUint64(make([]byte, 0, 8+nonceBytes+sha256.Size), uint64(c.now().UnixMilli())) //nolint:gosec // after 1970
	raw = raw[:8+nonceBytes]
	_, _ = rand.Read(raw[8:])
	return encoding.EncodeToString(c.seal(raw))
}

func (c *Challenges) seal(raw []byte) []byte {
	mac := hmac.New(sha256.New, c.key)
	_, _ = mac.Write(raw)
	return mac.Sum(raw)
}

// fresh reports whether a challenge is one of ours and not older than challengeLife.
func (c *Challenges) fresh(challenge string) bool {
	sealed, err := encoding.DecodeString(challenge)
	if err != nil || len(sealed) != 8+nonceBytes+sha256.Size {
		return false
	}
	if !hmac.Equal(c.seal(sealed[:8+nonceBytes:8+nonceBytes]), sealed) {
		return false
	}
	age := c.now().Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(sealed)))) //nolint:gosec // our own number
	return age >= -challengeLife && age <= challengeLife
}

// Purpose is what a server signs a challenge for, so that the signature does nothing else.
type Purpose string

// What the key of a link does at the cloud.
const (
	Open   Purpose = "open"   // opens a link
	Rotate Purpose = "rotate" // names its successor
	Leave  Purpose = "leave"  // removes its connection
)

// proof is what a server presents with its link's key.
type proof struct {
	keyID, challenge string // of the connection's API key
	signature        []byte
}

// signed is what the key of a link signs. It names the cloud, so that no other cloud can use the signature.
func (p proof) signed(cloud bridge.ServerURL, purpose Purpose, body []byte) []byte {
	sum := sha256.Sum256(body)
	return []byte(strings.Join([]string{"ace link", string(cloud), p.keyID, p.challenge, string(purpose), encoding.EncodeToString(sum[:])}, "\n"))
}

// header is the value of Authorization (RFC 9110 §11.6.2).
func (p proof) header() string {
	return scheme + ` key="` + p.keyID + `", challenge="` + p.challenge + `", signature="` + encoding.EncodeToString(p.signature) + `"`
}

var errProof = errors.New("no proof of a link")

// parseProof reads a value of Authorization. It takes what [proof.header] writes, and nothing else.
func parseProof(header string) (proof, error) {
	var p proof
	if len(header) > maxHeader {
		return p, errProof
	}
	rest, ok := strings.CutPrefix(header, scheme+` key="`)
	if !ok {
		return p, errProof
	}
	var signature string
	if p.keyID, rest, ok = strings.Cut(rest, `", challenge="`); !ok || p.keyID == "" || len(p.keyID) > maxKeyID {
		return p, errProof
	}
	if p.challenge, rest, ok = strings.Cut(rest, `", signature="`); !ok {
		return p, errProof
	}
	if signature, ok = strings.CutSuffix(rest, `"`); !ok || strings.ContainsAny(p.keyID+p.challenge+signature, "\"\\ \n") {
		return p, errProof
	}
	var err error
	if p.signature, err = encoding.DecodeString(signature); err != nil || len(p.signature) != ed25519.SignatureSize {
		return p, errProof
	}
	return p, nil
}

// challengeIn reads the challenge of a 401.
func challengeIn(h http.Header) (string, bool) {
	for _, value := range h.Values("WWW-Authenticate") {
		if rest, ok := strings.CutPrefix(value, scheme+` challenge="`); ok && len(value) <= maxHeader {
			challenge, after, closed := strings.Cut(rest, `"`)
			return challenge, closed && after == "" && challenge != ""
		}
	}
	return "", false
}
