package bridge

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The kinds of credential that an [Identity] comes from.
const (
	TypeAPIKey      = "api_key"
	TypeAccessToken = "access_token"
	TypeUserToken   = "user_token"
)

// The environments that keep live and test keys apart: an app keeps the data of each to itself.
const (
	EnvironmentLive = "live"
	EnvironmentTest = "test"
)

// Environment is where keys of this kind work.
func (k KeyKind) Environment() string {
	if k == KindTest {
		return EnvironmentTest
	}
	return EnvironmentLive
}

// Identity is who a verified credential stands for and what it may do.
type Identity struct {
	Type        string
	KeyID       uuid.UUID // zero for a user token
	Kind        KeyKind
	Subject     string // the key's owner, or the member that an access token names
	Org         string
	Environment string
	Role        Role // of the person, where the credential names one
	Connection  string
	Scopes      Scopes
	IssuedAt    time.Time // of an access token
	Number      int64     // of an access token; see AccessClaims.Number
	Probe       bool      // the access token is a probe of the cloud
	ExpiresAt   time.Time // of the credential; zero: never
	WarnFrom    time.Time // from then on the holder is told that the key will expire; zero: never
	// Generation stands for the one secret of the key that was shown, so that what is still under way can be ended when
	// that secret dies, though the key lives on.
	Generation uint64
	// Metered: each use has to be looked at, so that no answer about it may be kept.
	Metered bool
	// Counted: each use counts against the key's rate or number of uses.
	Counted bool
}

// Covers reports whether the identity has the required scope. The organization axis is not the scopes' to widen:
// org:<slug> is covered by being of that organization, and by nothing else.
func (id Identity) Covers(need Scope) bool {
	if org, ok := strings.CutPrefix(string(need), orgAxis); ok {
		return org == id.Org && org != ""
	}
	return id.Scopes.Covers(need)
}

const orgAxis = "org:"

// OrgScope is the scope that every identity of an organization has.
func OrgScope(org string) Scope { return Scope(orgAxis + org) }

// IsOrgScope reports whether s lies on the organization axis.
func IsOrgScope(s Scope) bool { return strings.HasPrefix(string(s), orgAxis) }

// Use is from where a credential is used.
type Use struct {
	Address   string // an IP address
	UserAgent string
}

// The identity headers that an app behind a gateway, a forward-auth proxy or a guard reads. They are always set, empty
// where there is nothing to say, so that an app never sees one that a client sent.
const (
	HeaderKeyID       = "X-Ace-Key-Id"
	HeaderSubject     = "X-Ace-Subject"
	HeaderOrg         = "X-Ace-Org"
	HeaderEnvironment = "X-Ace-Environment"
	HeaderScopes      = "X-Ace-Scopes"
	HeaderRequestID   = "X-Ace-Request-Id"
)

// HeaderKeyExpires tells the holder of a key when it expires (RFC 3339), from 30 days before.
const HeaderKeyExpires = "X-Ace-Key-Expires"

// SetHeaders writes the identity headers.
func (id Identity) SetHeaders(h http.Header, requestID string) {
	keyID := ""
	if id.KeyID != uuid.Nil {
		keyID = id.KeyID.String()
	}
	// One array for the six values; each slice ends where the next begins, so that appending to one copies it.
	values := [6]string{keyID, HeaderText(id.Subject), id.Org, id.Environment, id.Scopes.String(), requestID}
	for i, name := range [...]string{HeaderKeyID, HeaderSubject, HeaderOrg, HeaderEnvironment, HeaderScopes, HeaderRequestID} {
		h[name] = values[i : i+1 : i+1]
	}
}

// extPrefix begins an ext-value of UTF-8 (RFC 8187 section 3.2.1).
const extPrefix = "UTF-8''"

// HeaderText is text as a header carries it: printable ASCII as it is, anything else as an ext-value of UTF-8 (RFC 8187), at
// every door. Text that looks like an ext-value is encoded as well, so that no two texts become one.
func HeaderText(s string) string {
	plain := strings.TrimSpace(s) == s && (len(s) < len(extPrefix) || !strings.EqualFold(s[:len(extPrefix)], extPrefix))
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f
	}
	if plain {
		return s
	}
	const attrChar = "!#$&+-.^_`|~" // beside letters and digits
	var out strings.Builder
	out.WriteString(extPrefix)
	for i := range len(s) {
		if c := s[i]; c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte(attrChar, c) >= 0 {
			out.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			out.WriteByte('%')
			out.WriteByte(hex[c>>4])
			out.WriteByte(hex[c&0xf])
		}
	}
	return out.String()
}

// FoldHeader is how a careless reader may see a header's name: lower case, and '-' for all that is neither letter nor
// digit. Two names that fold alike may be one to the app behind a gateway.
func FoldHeader(name string) string { return strings.Map(foldRune, name) }

// FoldsToPrefix reports whether the folded name of a header begins with prefix, which is in ASCII. It allocates nothing: it
// is asked of every header of a request.
func FoldsToPrefix(name, prefix string) bool {
	at := 0
	for _, r := range name {
		if at == len(prefix) {
			break
		}
		if foldRune(r) != rune(prefix[at]) {
			return false
		}
		at++
	}
	return at == len(prefix)
}

func foldRune(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z':
		return r + 'a' - 'A'
	case (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9'):
		return r
	}
	return '-'
}
