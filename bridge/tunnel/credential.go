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
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
)

const (
	scheme        = "AceLink"
	challengeLife = 30 * time.Second
	nonceBytes    = 16
	maxHeader     = 1024 // bytes of an Authorization or WWW-Authenticate header
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

// Replicas says whether several server processes may have links of one connection at the same time.
type Replicas string

// What a server wants of other processes with links of its connection.
const (
	ReplicasShare  Replicas = "share"  // they take turns: requests go to each of them
	ReplicasRefuse Replicas = "refuse" // there is only one: the cloud refuses the links of the later one
)

// proof is what a server presents with its link's key.
type proof struct {
	keyID     string   // of the connection's API key
	instance  string   // of the server process
	slot      int      // which of the process's links it is
	replicas  Replicas // may others have links as well
	challenge string
	signature []byte
	public    ed25519.PublicKey // that has verified it
}

// signed is what the key of a link signs. It names the cloud, so that no other cloud can use the signature.
func (p proof) signed(cloud bridge.ServerURL, purpose Purpose, body []byte) []byte {
	sum := sha256.Sum256(body)
	return []byte(strings.Join([]string{"ace link", string(cloud), p.keyID, p.instance, strconv.Itoa(p.slot), string(p.replicas),
		p.challenge, string(purpose), encoding.EncodeToString(sum[:])}, "\n"))
}

// header is the value of Authorization (RFC 9110 §11.6.2).
func (p proof) header() string {
	return fmt.Sprintf(`%s key="%s", instance="%s", link="%d", replicas="%s", challenge="%s", signature="%s"`,
		scheme, p.keyID, p.instance, p.slot, p.replicas, p.challenge, encoding.EncodeToString(p.signature))
}

var (
	errProof  = errors.New("no proof of a link")
	proofForm = regexp.MustCompile(`^` + scheme + ` key="([\w.-]{1,64})", instance="([\w-]{1,64})", link="([0-9])", replicas="(share|refuse)", ` +
		`challenge="([\w-]+)", signature="([\w-]+)"$`)
)

func (p proof) valid() bool {
	header := p.header()
	return len(header) <= maxHeader && proofForm.MatchString(header)
}

// parseProof reads a value of Authorization. It takes what [proof.header] writes, and nothing else.
func parseProof(header string) (proof, error) {
	if len(header) > maxHeader {
		return proof{}, errProof
	}
	m := proofForm.FindStringSubmatch(header)
	if m == nil {
		return proof{}, errProof
	}
	p := proof{keyID: m[1], instance: m[2], slot: int(m[3][0] - '0'), replicas: Replicas(m[4]), challenge: m[5]}
	var err error
	if p.signature, err = encoding.DecodeString(m[6]); err != nil || len(p.signature) != ed25519.SignatureSize || p.slot >= MaxLinks {
		return proof{}, errProof
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
