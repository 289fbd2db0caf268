package bridge

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Types of the credential that an [Identity] comes from.
const (
	TypeAPIKey      = "api_key"
	TypeAccessToken = "access_token"
	TypeUserToken   = "user_token"
)

// Environments keep live and test keys apart; an app should keep their data apart as well.
const (
	EnvironmentLive = "live"
	EnvironmentTest = "test"
)

// Environment returns the environment in which keys of this kind work.
func (k KeyKind) Environment() string {
	if k == KindTest {
		return EnvironmentTest
	}
	return EnvironmentLive
}

// Identity is who a verified credential belongs to, and what it may do.
type Identity struct {
	Type        string
	KeyID       uuid.UUID // zero for a user token
	Kind        KeyKind
	Subject     string // the key's owner, or the member that an access token names
	Org         string
	Environment string
	Role        Role // of the person, if the credential names one
	Connection  string
	Scopes      Scopes
	IssuedAt    time.Time // of an access token
	Number      int64     // of an access token; see AccessClaims.Number
	Probe       bool      // the access token is only a probe by the cloud
	ExpiresAt   time.Time // of the credential; zero: never
	WarnFrom    time.Time // from then on its holder is warned that the key will expire; zero: never
	// Generation identifies the key's secret that was used, so that what it opened can be ended when that secret dies,
	// even if the key lives on.
	Generation uint64
	// Metered: every use must be verified, so answers about the credential must not be cached.
	Metered bool
	// Counted: every use counts against the key's rate limit or number of uses.
	Counted bool
}

// Covers reports whether the identity has the required scope.
//
// Scopes cannot widen the organization axis: org:<slug> is covered only by belonging to that organization.
func (id Identity) Covers(need Scope) bool {
	if org, ok := strings.CutPrefix(string(need), orgAxis); ok {
		return org == id.Org && org != ""
	}
	return id.Scopes.Covers(need)
}

const orgAxis = "org:"

// OrgScope returns the scope that every identity of an organization has.
func OrgScope(org string) Scope { return Scope(orgAxis + org) }

// IsOrgScope reports whether s is on the organization axis.
func IsOrgScope(s Scope) bool { return strings.HasPrefix(string(s), orgAxis) }

// Use describes where a credential is used from.
type Use struct {
	Address   string // an IP address
	UserAgent string
}

// Identity headers, which an app behind a gateway, a forward-auth proxy or a guard reads.
//
// All of them are always set, if only to an empty value, so that an app never sees one that a client sent.
const (
	HeaderKeyID       = "X-Ace-Key-Id"
	HeaderSubject     = "X-Ace-Subject"
	HeaderOrg         = "X-Ace-Org"
	HeaderEnvironment = "X-Ace-Environment"
	HeaderScopes      = "X-Ace-Scopes"
	HeaderRequestID   = "X-Ace-Request-Id"
)

// HeaderKeyExpires tells the holder of a key when it expires (RFC 3339), starting 30 days before.
const HeaderKeyExpires = "X-Ace-Key-Expires"

// SetHeaders sets the identity headers. It overwrites whatever is there.
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

// extPrefix begins an ext-value in UTF-8 (RFC 8187 section 3.2.1).
const extPrefix = "UTF-8''"

// HeaderText encodes text for a header value.
//
// Printable ASCII stays as it is; anything else becomes an ext-value in UTF-8 (RFC 8187). Text that looks like an ext-value
// is encoded too, so that no two texts share an encoding.
func HeaderText(s string) string {
	plain := strings.TrimSpace(s) == s && (len(s) < len(extPrefix) || !strings.EqualFold(s[:len(extPrefix)], extPrefix))
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f
	}
	if plain {
		return s
	}
	const attrChar = "!#$&+-.^_`|~" // plus letters and digits (RFC 8187 section 3.2.1)
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

// FoldHeader folds a header name as a careless reader might: lower case, and '-' for anything but letters and digits.
//
// Two names that fold alike may be the same header to the app behind a gateway.
func FoldHeader(name string) string { return strings.Map(foldRune, name) }

// FoldsToPrefix reports whether a header's folded name begins with prefix.
//
// prefix is in ASCII and already folded. The function does not allocate, since it runs for every header of a request.
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
