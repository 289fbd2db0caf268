package bridge

import (
	"crypto/sha256"
	"regexp"
	"strings"
)

const (
	joinTokenPrefix = "ace_jt1."
	joinSecretBytes = 32
	maxJoinToken    = 4 << 10
)

// JoinTokenPattern is the expression that finds join tokens in text; [ParseJoinToken] says whether it is one.
var JoinTokenPattern = regexp.MustCompile(`\bace_jt1\.[0-9A-Za-z_-]+\.[0-9a-z-]+\.[0-9]+\.[0-9A-Za-z_-]{43}\.[0-9A-Za-z_-]{43}`)

// JoinToken is a short-lived token with which a server joins an organization.
//
// It carries all that the server must know of its cloud: its URL, its public key and the organization. The server pins them.
type JoinToken struct {
	key    CloudKey
	secret Secret
}

// NewJoinToken makes a token for the organization that a value of ACE_CLOUD_PUBLIC_KEY names.
func NewJoinToken(publicKey string) (JoinToken, error) {
	key, err := ParseCloudKey(NewSecret(publicKey))
	if err != nil {
		return JoinToken{}, err
	}
	return JoinToken{key: key, secret: NewSecret(RandomToken(joinSecretBytes))}, nil
}

func badJoinToken(why string) error {
	return E(Invalid, CodeJoinTokenMalformed, "the join token %s", why).
		WithHint("make a new one: ace org join-token create")
}

// ParseJoinToken reads a join token. It says nothing about whether the cloud still takes it.
func ParseJoinToken(token Secret) (JoinToken, error) {
	text := token.Reveal()
	rest, ok := strings.CutPrefix(text, joinTokenPrefix)
	if !ok || len(text) > maxJoinToken {
		return JoinToken{}, badJoinToken("does not begin with " + joinTokenPrefix)
	}
	cut := strings.LastIndexByte(rest, '.')
	if cut < 0 {
		return JoinToken{}, badJoinToken("is cut off")
	}
	key, err := ParseCloudKey(NewSecret(publicKeyPrefix + rest[:cut]))
	if err != nil {
		return JoinToken{}, badJoinToken("does not name its cloud: it is cut off or damaged")
	}
	if raw, err := decode64(rest[cut+1:]); err != nil || len(raw) != joinSecretBytes {
		return JoinToken{}, badJoinToken("is cut off or damaged")
	}
	return JoinToken{key: key, secret: NewSecret(rest[cut+1:])}, nil
}

// Text returns the token as people paste it.
func (t JoinToken) Text() Secret {
	return NewSecret(joinTokenPrefix + strings.TrimPrefix(t.PublicKey(), publicKeyPrefix) + "." + t.secret.Reveal())
}

// Cloud returns the URL of the cloud that made the token.
func (t JoinToken) Cloud() ServerURL { return t.key.Issuer }

// Org returns the slug of the organization that the server joins.
func (t JoinToken) Org() string { return t.key.Org }

// PublicKey returns the value of ACE_CLOUD_PUBLIC_KEY that the server pins.
func (t JoinToken) PublicKey() string {
	return PublicKeyValue(t.key.Issuer, t.key.Org, t.key.Number, t.key.public)
}

// Hash returns what the cloud keeps of the token.
func (t JoinToken) Hash() string {
	sum := sha256.Sum256([]byte(t.secret.Reveal()))
	return b64.EncodeToString(sum[:])
}

// linkDomain is the parent of the names of servers that are reached over links alone (RFC 6761 §6.4: never in DNS).
const linkDomain = ".link.invalid"

// LinkURL returns the URL of a server that has none of its own and is reached over its link.
func LinkURL(serverID string) ServerURL { return ServerURL("https://" + serverID + linkDomain) }

// LinkOnly reports whether a URL is one of [LinkURL]: nobody dials it.
func (s ServerURL) LinkOnly() bool { return strings.HasSuffix(s.URL().Hostname(), linkDomain) }

// RejoinHint is what gives the connection of a joined server another key, whatever the server still knows.
const RejoinHint = "disconnect it, and run `ace server join -` on the server with a new token"

// ConnectAgain is what gives a connection to a server another key.
func ConnectAgain(server ServerURL) string {
	if server.LinkOnly() {
		return RejoinHint
	}
	return "ace connect --server " + string(server)
}
