package bridge

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Signature algorithms of connect tokens (RFC 7518, RFC 8037).
const (
	AlgEdDSA = "EdDSA"
	AlgHS256 = "HS256"
)

const (
	publicKeyPrefix  = "ace_pk1."
	jwtSecretPrefix  = "ace_cs1."
	rawKeyID         = "raw"
	minRawSecret     = 32 // bytes; RFC 7518 section 3.2 wants a key at least as long as the hash
	maxCloudSecret   = 4 << 10
	maxCloudSecrets  = 8
	maxSigningNumber = 1 << 30
)

var b64 = base64.RawURLEncoding.Strict()

// decode64 decodes strict base64url; the library would ignore line breaks.
func decode64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("it contains a line break")
	}
	return b64.DecodeString(s)
}

// CloudKey is one cloud secret as a server holds it.
//
// It verifies the connect tokens of one organization of one cloud.
type CloudKey struct {
	Issuer ServerURL // the cloud
	Org    string
	Number int // which of the cloud's signing keys; for rotation
	public ed25519.PublicKey
	secret Secret
	raw    bool
}

// KeyID returns the `kid` of tokens signed with this key.
func (k CloudKey) KeyID() string {
	switch {
	case k.raw:
		return rawKeyID
	case k.public != nil:
		return publicKeyID(k.Number)
	default:
		return jwtSecretID(k.Org, k.Number)
	}
}

func publicKeyID(n int) string             { return "pk1." + strconv.Itoa(n) }
func jwtSecretID(org string, n int) string { return "cs1." + org + "." + strconv.Itoa(n) }

// Algorithm returns the only `alg` that tokens of this key may have.
func (k CloudKey) Algorithm() string {
	if k.public != nil {
		return AlgEdDSA
	}
	return AlgHS256
}

// PublicKeyValue formats a value of ACE_CLOUD_PUBLIC_KEY.
func PublicKeyValue(issuer ServerURL, org string, n int, public ed25519.PublicKey) string {
	return fmt.Sprintf("%s%s.%s.%d.%s", publicKeyPrefix, b64.EncodeToString([]byte(issuer)), org, n,
		b64.EncodeToString(public))
}

// JWTSecretValue formats a value of ACE_CLOUD_JWT_SECRET.
func JWTSecretValue(issuer ServerURL, org string, n int, secret []byte) Secret {
	return NewSecret(fmt.Sprintf("%s%s.%s.%d.%s", jwtSecretPrefix, b64.EncodeToString([]byte(issuer)), org, n,
		b64.EncodeToString(secret)))
}

func badCloudSecret(format string, args ...any) error {
	return E(Invalid, CodeCloudSecretMalformed, format, args...).
		WithHint("print the right value with: ace org trust")
}

// ParseCloudKey parses one ace_pk1 or ace_cs1 value.
func ParseCloudKey(value Secret) (CloudKey, error) {
	s := value.Reveal()
	if len(s) > maxCloudSecret {
		return CloudKey{}, badCloudSecret("the cloud secret is longer than %d bytes", maxCloudSecret)
	}
	rest, isPublic := strings.CutPrefix(s, publicKeyPrefix)
	if !isPublic {
		var ok bool
		if rest, ok = strings.CutPrefix(s, jwtSecretPrefix); !ok {
			return CloudKey{}, badCloudSecret("the cloud secret begins neither with %s nor with %s",
				publicKeyPrefix, jwtSecretPrefix)
		}
	}
	parts := strings.Split(rest, ".")
	if len(parts) != 4 {
		return CloudKey{}, badCloudSecret("the cloud secret has %d parts after its prefix, not 4: was it cut off?",
			len(parts))
	}
	issuer, err := decode64(parts[0])
	if err != nil {
		return CloudKey{}, badCloudSecret("the issuer in the cloud secret is not base64url")
	}
	canonical, err := CanonicalURL(string(issuer))
	if err != nil || string(canonical) != string(issuer) {
		return CloudKey{}, badCloudSecret("the issuer in the cloud secret is not a canonical URL")
	}
	if err := CheckOrg(parts[1]); err != nil {
		return CloudKey{}, badCloudSecret("the cloud secret names no valid organization")
	}
	n, err := strconv.Atoi(parts[2])
	if err != nil || n < 1 || n > maxSigningNumber || strconv.Itoa(n) != parts[2] {
		return CloudKey{}, badCloudSecret("the key number in the cloud secret is not a positive number")
	}
	material, err := decode64(parts[3])
	if err != nil || len(material) != 32 {
		return CloudKey{}, badCloudSecret("the key in the cloud secret is not 32 bytes of base64url: was it cut off?")
	}
	key := CloudKey{Issuer: canonical, Org: parts[1], Number: n}
	if isPublic {
		key.public = ed25519.PublicKey(material)
	} else {
		key.secret = NewSecret(string(material))
	}
	return key, nil
}

// Trust is what a server knows of its cloud: one issuer, one organization and their keys.
//
// The zero value trusts nobody; a server that holds it refuses every exchange.
type Trust struct {
	Issuer ServerURL
	Org    string
	keys   []CloudKey
}

// Configured reports whether there is any cloud secret.
func (t Trust) Configured() bool { return len(t.keys) > 0 }

// KeyIDs returns the `kid` of each key, in the order they were given.
func (t Trust) KeyIDs() []string {
	out := make([]string, len(t.keys))
	for i, k := range t.keys {
		out[i] = k.KeyID()
	}
	return out
}

// With adds the key of a cloud that was joined to configured trust, which must name the same cloud and organization.
//
// Configured public keys must hold that key; cloud secrets say nothing about it.
func (t Trust) With(joined Trust) (Trust, error) {
	if !t.Configured() {
		return joined, nil
	}
	if t.Issuer != joined.Issuer || t.Org != joined.Org {
		return Trust{}, badCloudSecret("the settings are for organization %q of %s, the server has joined %q of %s", t.Org, t.Issuer, joined.Org, joined.Issuer)
	}
	both := Trust{Issuer: t.Issuer, Org: t.Org, keys: slices.Clone(t.keys)}
	for _, key := range joined.keys {
		if same := func(k CloudKey) bool { return k.public != nil && k.public.Equal(key.public) }; slices.ContainsFunc(t.keys, same) {
			continue
		}
		if slices.ContainsFunc(t.keys, func(k CloudKey) bool { return k.public != nil }) {
			return Trust{}, badCloudSecret("ACE_CLOUD_PUBLIC_KEY does not have the key %s of the join", key.KeyID())
		}
		both.keys = append(both.keys, key)
	}
	return both, nil
}

func (t Trust) key(kid string) (CloudKey, bool) {
	for _, k := range t.keys {
		if k.KeyID() == kid {
			return k, true
		}
	}
	return CloudKey{}, false
}

// TrustSettings are the settings that say which cloud a server trusts.
type TrustSettings struct {
	PublicKey string // ACE_CLOUD_PUBLIC_KEY
	JWTSecret Secret // ACE_CLOUD_JWT_SECRET
	CloudURL  string // ACE_CLOUD_URL: needed only with a raw secret
	Org       string // ACE_CLOUD_ORG: needed only with a raw secret
}

// ParseTrust parses a server's trust settings.
//
// Each may hold several values separated by commas, for rotation; all must name the same cloud and organization. Empty, short
// and contradictory settings are errors. Without any settings the result is the zero [Trust].
func ParseTrust(s TrustSettings) (Trust, error) {
	var t Trust
	var err error
	if s.CloudURL != "" {
		if t.Issuer, err = CanonicalURL(s.CloudURL); err != nil {
			return Trust{}, E(Invalid, CodeCloudURLMalformed, "ACE_CLOUD_URL: %w", err)
		}
	}
	if s.Org != "" {
		if err := CheckOrg(s.Org); err != nil {
			return Trust{}, E(Invalid, CodeCloudOrgMalformed, "ACE_CLOUD_ORG: %w", err)
		}
		t.Org = s.Org
	}
	for _, v := range splitList(s.PublicKey) {
		if !strings.HasPrefix(v, publicKeyPrefix) {
			return Trust{}, badCloudSecret("ACE_CLOUD_PUBLIC_KEY: a value does not begin with %s", publicKeyPrefix)
		}
		if err := t.add("ACE_CLOUD_PUBLIC_KEY", NewSecret(v)); err != nil {
			return Trust{}, err
		}
	}
	for _, v := range splitList(s.JWTSecret.Reveal()) {
		if strings.HasPrefix(v, publicKeyPrefix) {
			return Trust{}, badCloudSecret("ACE_CLOUD_JWT_SECRET holds a public key; put it into ACE_CLOUD_PUBLIC_KEY")
		}
		if err := t.add("ACE_CLOUD_JWT_SECRET", NewSecret(v)); err != nil {
			return Trust{}, err
		}
	}
	if len(t.keys) > maxCloudSecrets {
		return Trust{}, badCloudSecret("more than %d cloud secrets", maxCloudSecrets)
	}
	if len(t.keys) == 0 && (t.Issuer != "" || t.Org != "") {
		return Trust{}, badCloudSecret("ACE_CLOUD_URL or ACE_CLOUD_ORG is set, but no cloud secret")
	}
	return t, nil
}

// splitList splits at commas. An empty string is an empty list; an empty element is kept, to be refused later.
func splitList(s string) []string {
	if s == "" {
		return nil
	}
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// add adds one value; all values must name the same cloud and organization.
func (t *Trust) add(variable string, value Secret) error {
	key, err := t.parse(value)
	if err != nil {
		e := AsError(err)
		return E(Invalid, e.Code, "%s: %s", variable, e.Detail).WithHint("%s", e.Hint)
	}
	if t.Issuer == "" {
		t.Issuer = key.Issuer
	}
	if t.Org == "" {
		t.Org = key.Org
	}
	if key.Issuer != t.Issuer || key.Org != t.Org {
		return badCloudSecret("%s: the secret is for organization %q of %s, the other settings say %q of %s",
			variable, key.Org, key.Issuer, t.Org, t.Issuer)
	}
	if _, twice := t.key(key.KeyID()); twice {
		return badCloudSecret("%s: two secrets have the key number of %s", variable, key.KeyID())
	}
	t.keys = append(t.keys, key)
	return nil
}

// parse parses one value: ace's own form, or a secret of the operator's own.
func (t *Trust) parse(value Secret) (CloudKey, error) {
	s := value.Reveal()
	if strings.HasPrefix(s, "ace_") {
		return ParseCloudKey(value)
	}
	if len(s) < minRawSecret {
		return CloudKey{}, badCloudSecret("a secret of your own must have at least %d bytes", minRawSecret)
	}
	if t.Issuer == "" || t.Org == "" {
		return CloudKey{}, badCloudSecret("a secret of your own needs ACE_CLOUD_URL and ACE_CLOUD_ORG as well")
	}
	return CloudKey{Issuer: t.Issuer, Org: t.Org, secret: value, raw: true}, nil
}

// PublicKeys returns the Ed25519 keys by `kid`; secrets that sign and verify are not among them.
func (t Trust) PublicKeys() map[string]ed25519.PublicKey {
	out := map[string]ed25519.PublicKey{}
	for _, k := range t.keys {
		if k.public != nil {
			out[k.KeyID()] = k.public
		}
	}
	return out
}
