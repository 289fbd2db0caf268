package api

import (
	"time"

	"github.com/acebridge/ace/bridge"
)

// Headers of every answer, and of requests between our own parts.
const (
	HeaderRequestID = "X-Request-Id"

	// HeaderRelay is sent with 1 by whoever calls a relay with a cookie: no page of another site can send it. In an answer of
	// the relay it says whose that is.
	HeaderRelay = "X-Ace-Relay"

	// HeaderIdempotencyKey makes a rotation one that can be retried (draft-ietf-httpapi-idempotency-key-header).
	HeaderIdempotencyKey = "Idempotency-Key"
)

// List is every list on the wire. NextCursor is empty on the last page.
type List[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"`
}

// Discovery is what a server says of itself at /.well-known/ace-server, to anybody. Nobody follows it: it serves to
// explain a refusal and to choose the kind of signature that the server can check.
type Discovery struct {
	Product      string             `json:"product"` // always "ace"
	Version      string             `json:"version"`
	PublicURL    bridge.ServerURL   `json:"public_url"`
	PublicURLs   []bridge.ServerURL `json:"public_urls"`
	Exchange     DiscoveryExchange  `json:"exchange"`
	Capabilities []string           `json:"capabilities"`
	Time         time.Time          `json:"time"` // the server's clock, to explain a refusal by it
}

// The capabilities that decide how a cloud speaks to a server; see [Discovery].
const (
	CapabilityNumberedWithdrawals = "numbered_withdrawals" // withdrawals and access tokens with numbers
	CapabilityLineage             = "lineage"              // personal keys, and connect tokens that replace a key
)

// DiscoveryExchange says whether and for whom the server exchanges connect tokens.
type DiscoveryExchange struct {
	Configured bool             `json:"configured"`
	Issuer     bridge.ServerURL `json:"issuer,omitempty"`
	Org        string           `json:"org,omitempty"`
	KeyIDs     []string         `json:"key_ids,omitempty"`
}

// ExchangeRequest asks a server for a key; the connect token is the bearer credential of the request.
type ExchangeRequest struct {
	Name string `json:"name,omitempty"`
}

// ExchangeAnswer is the issued key, sealed when the connect token names a sealing key, in the clear otherwise.
type ExchangeAnswer struct {
	KeyID     string            `json:"key_id"`
	Prefix    string            `json:"prefix"`
	SealedKey string            `json:"sealed_key,omitempty"`
	Key       *bridge.Disclosed `json:"key,omitempty"`
	Org       string            `json:"org"`
	Scopes    []string          `json:"scopes"`
	ExpiresAt time.Time         `json:"expires_at"`
	ConfirmBy time.Time         `json:"confirm_by"` // the key dies then unless it has been used
}

// CreateKeyRequest asks for an API key. ExpiresIn takes "90d", "12h", "2027-01-31" or "never"; empty is 90 days. Without
// Preset and Scopes the key gets the catalogue's default preset.
type CreateKeyRequest struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Kind        string   `json:"kind,omitempty"` // live (default) or test
	Preset      string   `json:"preset,omitempty"`
	Scopes      []string `json:"scopes,omitempty"`
	ExpiresIn   string   `json:"expires_in,omitempty"`
	AllowFrom   []string `json:"allow_from,omitempty"` // IP addresses and CIDRs
	Rate        string   `json:"rate,omitempty"`       // "10/s", "100/m", "5000/h", "100000/d"
	MaxUses     int64    `json:"max_uses,omitempty"`
	Lineage     string   `json:"lineage,omitempty"` // personal or organization; empty: what the maker may make
}

// ReviveKeyRequest asks for a new secret of a key, whose old one dies at once.
type ReviveKeyRequest struct {
	ExpiresIn string `json:"expires_in,omitempty"` // as of CreateKeyRequest
}

// RotateKeyRequest asks for a new secret of a key, whose old one stays valid for the grace: "24h" by default, "0s" for
// none. ExpiresIn is that of CreateKeyRequest; empty: as long as the key's secret had when it was issued.
type RotateKeyRequest struct {
	Grace     string `json:"grace,omitempty"`
	ExpiresIn string `json:"expires_in,omitempty"`
}

// APIKey describes a key without its secret.
type APIKey struct {
	KeyID       string   `json:"key_id"`
	Prefix      string   `json:"prefix"`
	Kind        string   `json:"kind"`
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Owner       string   `json:"owner"`
	Org         string   `json:"org,omitempty"`
	Scopes      []string `json:"scopes"`
	// Status is active, unconfirmed or disabled; of a dead key it is expired, revoked, used_up or lapsed. An active key that
	// is refused because an ancestor is not active has the ancestor's: parent_disabled, parent_expired and so on.
	Status     string       `json:"status"`
	CreatedBy  string       `json:"created_by"`
	CreatedAt  time.Time    `json:"created_at"`
	ExpiresAt  *time.Time   `json:"expires_at"`            // null: never
	GraceUntil *time.Time   `json:"grace_until,omitempty"` // until then the secret before the rotation is valid too
	AllowFrom  []string     `json:"allow_from,omitempty"`  // CIDRs; none: any address
	Rate       string       `json:"rate,omitempty"`        // "100/m"
	MaxUses    int64        `json:"max_uses,omitempty"`
	Uses       int64        `json:"uses,omitempty"` // counted where max_uses is set
	LastUsed   *LastUse     `json:"last_used,omitempty"`
	Disabled   *KeyDisabled `json:"disabled,omitempty"`
	Ended      *KeyEnd      `json:"ended,omitempty"` // why, when and by whom a dead key died

	// Lineage is personal or organization; empty for a connection's key. A personal key ends with its parent and with the access
	// of its subject.
	Lineage string `json:"lineage,omitempty"`
	Parent  string `json:"parent,omitempty"`  // the ID of the key through which it was made
	Subject string `json:"subject,omitempty"` // on whose behalf
	// DoubtedAt is when a database was restored; the key may have been revoked before. Null: no doubt, or an admin has decided.
	DoubtedAt *time.Time `json:"doubted_at,omitempty"`
	// ParentUnknown: it was made before parents were recorded. Withdrawals of any connection's key limit it.
	ParentUnknown bool `json:"parent_unknown,omitempty"`
	// StatusCause is the ancestor that a parent_… status refers to.
	StatusCause *KeyCause `json:"status_cause,omitempty"`
	// Limit is what the subject's access leaves to the key; absent: everything its own scopes allow.
	Limit *KeyLimit `json:"limit,omitempty"`
	// Children is the number of living keys made through it, where one key is asked about; Descendants includes theirs.
	Children    int `json:"children,omitempty"`
	Descendants int `json:"descendants,omitempty"`
}

// KeyCause is the ancestor of a key that keeps it from being used.
type KeyCause struct {
	KeyID  string `json:"key_id"`
	Status string `json:"status"` // the ancestor's own, or unknown
	Detail string `json:"detail"`
	Hint   string `json:"hint"`
}

// KeyLimit is the most that its subject's access allows a personal key.
type KeyLimit struct {
	Scopes []string    `json:"scopes,omitempty"` // none: no limit of scopes
	Role   bridge.Role `json:"role,omitempty"`   // its ceiling; empty: no limit by role
}

// KeyDisabled says since when and by whom a key is disabled.
type KeyDisabled struct {
	At time.Time `json:"at"`
	By string    `json:"by"`
}

// CreatedKey is an APIKey with its secret, shown this once.
type CreatedKey struct {
	Key bridge.Disclosed `json:"key"`
	APIKey
}

// LastUse is the last use of a key, seconds late at most.
type LastUse struct {
	At        time.Time `json:"at"`
	Address   string    `json:"address,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
}

// KeyEnd says why a key is dead.
type KeyEnd struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// Identity is who a credential is (GET /ace/v1/me).
type Identity struct {
	KeyID       string     `json:"key_id,omitempty"`
	Type        string     `json:"type"` // api_key, access_token or user_token
	Name        string     `json:"name,omitempty"`
	Subject     string     `json:"subject"`
	Org         string     `json:"org"`
	Environment string     `json:"environment"`
	Scopes      []string   `json:"scopes"`
	ExpiresAt   *time.Time `json:"expires_at"`
	// Owner is the owner of the key behind the credential; CanActAs says that its access tokens may name other subjects.
	Owner    string `json:"owner,omitempty"`
	CanActAs bool   `json:"can_act_as"`
	Kind     string `json:"kind,omitempty"`
	Lineage  string `json:"lineage,omitempty"` // of the key, as in APIKey
	Parent   string `json:"parent,omitempty"`
	// KeySubject is the person on whose behalf the key was made; Limit is what their access leaves to it, as in APIKey.
	KeySubject    string    `json:"key_subject,omitempty"`
	ParentUnknown bool      `json:"parent_unknown,omitempty"`
	Limit         *KeyLimit `json:"limit,omitempty"`
	// Since and until when the secret of the key is valid that the credential is, or is derived from; null: not known, for
	// ever.
	KeyIssuedAt  *time.Time `json:"key_issued_at,omitempty"`
	KeyExpiresAt *time.Time `json:"key_expires_at,omitempty"`
}

// IntrospectRequest asks who a credential is. Method and URI, where set, ask for a decision as well.
type IntrospectRequest struct {
	Token     bridge.Secret
	Address   string // of the client that presented it, for keys with an allowlist
	UserAgent string
	Spend     bool // count a use
	Method    string
	URI       string
}

// Introspection is the answer of RFC 7662 section 2.2, with what a guard needs besides. Of what is not active nothing but
// that is said.
type Introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"` // the key ID, or the subject of a user token
	Username  string `json:"username,omitempty"`
	TokenType string `json:"token_type,omitempty"` // always Bearer
	Exp       int64  `json:"exp,omitempty"`        // unix seconds; absent: never
	Iat       int64  `json:"iat,omitempty"`        // of an access token, unix seconds
	Sub       string `json:"sub,omitempty"`
	Iss       string `json:"iss,omitempty"` // the server

	Type        string `json:"type,omitempty"` // api_key, access_token or user_token
	KeyID       string `json:"key_id,omitempty"`
	Kind        string `json:"kind,omitempty"`
	Org         string `json:"org,omitempty"`
	Environment string `json:"environment,omitempty"`
	Role        string `json:"role,omitempty"`
	Connection  string `json:"connection,omitempty"`
	Number      int64  `json:"number,omitempty"` // of an access token: that of its key's last withdrawal when it was made
	Probe       bool   `json:"probe,omitempty"`  // an access token with which the cloud asks whether the server answers
	WarnFrom    int64  `json:"warn_from,omitempty"`
	Generation  string `json:"generation,omitempty"` // of the key's secret, as in KeyChange
	Metered     bool   `json:"metered,omitempty"`    // each use is looked at: this answer must not be kept
	Counted     bool   `json:"counted,omitempty"`    // each use is counted: ask again with spend=true when it is one
	// Decision says whether a request may pass, where the question named one.
	Decision *Decision `json:"decision,omitempty"`
}

// Decision is the catalogue's about one request.
type Decision struct {
	Allowed bool        `json:"allowed"`
	Code    bridge.Code `json:"code,omitempty"`  // why not
	Scope   string      `json:"scope,omitempty"` // the scope that is missing
	Rule    string      `json:"rule,omitempty"`
}

// KeyChange is one line of the stream of changed keys (GET /ace/v1/revocations): every answer about that key that is kept
// elsewhere is to be thrown away, and what is open under another generation, or by a withdrawn token, is to be cut. A line with Reset says that some
// changes are not known, so that the same goes for all keys. A line with neither is a heartbeat: all changes up to its
// position have been told.
type KeyChange struct {
	Position int64           `json:"position"` // for "since" of the next stream
	Reset    bool            `json:"reset,omitempty"`
	KeyID    string          `json:"key_id,omitempty"`
	Alive    []KeyGeneration `json:"alive,omitempty"` // the generations of the key's secrets that are valid
	// Withdrawn is until when (unix seconds) the access tokens that were issued to a member are dead, by subject; "*" is
	// every member.
	Withdrawn map[string]int64 `json:"withdrawn,omitempty"`
	// Numbers is the number below which the access tokens of a member are dead that have one, by subject; Clocks until when they
	// were issued that statements without a number have ended. See bridge.Taken.
	Numbers map[string]int64 `json:"withdrawn_numbers,omitempty"`
	Clocks  map[string]int64 `json:"withdrawn_clocks,omitempty"`
}

// KeyGeneration is one of a key's secrets, and until when it is valid (unix seconds; 0: without an end).
type KeyGeneration struct {
	Generation string `json:"generation"`
	Until      int64  `json:"until,omitempty"`
}

// LeakReport is the answer to a report of leaked keys, as GitHub's secret scanning partner program expects it: one entry
// for each key that was sent.
type LeakReport struct {
	TokenHash string `json:"token_hash,omitempty"` // SHA-256 of what was sent, base64
	TokenRaw  string `json:"token_raw,omitempty"`
	TokenType string `json:"token_type"`
	Label     string `json:"label"` // true_positive: it was one of this server's, and is revoked
}

// Refusal is why a request was refused (GET /ace/v1/refusals/{request-id}).
type Refusal struct {
	RequestID string      `json:"request_id"`
	At        time.Time   `json:"at"`
	Status    int         `json:"status"`
	Code      bridge.Code `json:"code"`   // what the caller was told
	Cause     bridge.Code `json:"cause"`  // the exact code
	Detail    string      `json:"detail"` // the exact cause
	Hint      string      `json:"hint,omitempty"`
	Scope     string      `json:"scope,omitempty"`
	LimitedBy string      `json:"limited_by,omitempty"` // what takes that scope from the key, which has it itself
	KeyID     string      `json:"key_id,omitempty"`
	Subject   string      `json:"subject,omitempty"`
	Method    string      `json:"method,omitempty"`
	Path      string      `json:"path,omitempty"`
	Address   string      `json:"address,omitempty"`
}

// AuditEntry is one line of an audit log.
type AuditEntry struct {
	ID        string            `json:"id"`
	At        time.Time         `json:"at"`
	Actor     string            `json:"actor"`
	Action    string            `json:"action"` // noun.verb: key.create, connection.share
	Target    string            `json:"target"`
	Org       string            `json:"org,omitempty"`
	Outcome   string            `json:"outcome"` // ok or the code of the refusal
	Address   string            `json:"address,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
	Details   map[string]string `json:"details,omitempty"`
}

// Me is the person a cloud token stands for, or the API key itself, which has no e-mail address unless it is a personal
// access token.
type Me struct {
	ID        string     `json:"id"`
	Email     string     `json:"email"`
	Name      string     `json:"name"`
	Country   string     `json:"country"`
	Currency  string     `json:"currency"`
	Org       string     `json:"org"`
	OrgID     string     `json:"org_id"`
	Role      string     `json:"role"`
	KeyID     string     `json:"key_id,omitempty"`
	Method    string     `json:"method"` // browser, device, authorization_code, password, developer_token, api_key, pat
	Scopes    []string   `json:"scopes"`
	ExpiresAt *time.Time `json:"expires_at"` // null: never
}

// Organization is one that the caller belongs to.
type Organization struct {
	ID   string `json:"id"`
	Slug string `json:"slug"`
	Name string `json:"name"`
	Role string `json:"role"`
}

// TrustVariables are what a server needs to trust this cloud (GET /v1/organizations/{org}/trust); one of the two.
type TrustVariables struct {
	Org       string           `json:"org"`
	CloudURL  bridge.ServerURL `json:"cloud_url"`
	PublicKey string           `json:"ACE_CLOUD_PUBLIC_KEY"`
	JWTSecret bridge.Disclosed `json:"ACE_CLOUD_JWT_SECRET"`
}

// RegisterRequest registers a connection: a sealed key from an exchange, or an API key entered by hand.
type RegisterRequest struct {
	ServerURL string            `json:"server_url"`
	Name      string            `json:"name,omitempty"`
	SealedKey string            `json:"sealed_key,omitempty"`
	APIKey    *bridge.Disclosed `json:"api_key,omitempty"`
	// IfKeyID, where set, is the ID of the key that the member's connection to this server must have now ("" where there is
	// no connection); otherwise nothing is replaced, and the answer is the code connection_moved.
	IfKeyID *string `json:"if_key_id,omitempty"`
}

// Connection is a registered server. It never carries a key.
type Connection struct {
	ID        string           `json:"id"`
	Name      string           `json:"name"`
	ServerURL bridge.ServerURL `json:"server_url"`
	Owner     string           `json:"owner"` // email
	// OwnerOnly: its key speaks for its own subject alone, so that nobody but the owner can use the connection.
	OwnerOnly  bool     `json:"owner_only,omitempty"`
	OwnerGone  bool     `json:"owner_gone,omitempty"` // the owner is no member any more: it is the admins' to disconnect
	Visibility string   `json:"visibility"`           // private or organization
	Ceiling    []string `json:"ceiling"`              // scopes that members get at most; null: the key's own
	// CeilingPreset is the preset of the server's that the ceiling comes from. Access is what the one who asks may do: full,
	// limited or none; Allowed the scopes that they get at most, null: the key's own.
	CeilingPreset string   `json:"ceiling_preset,omitempty"`
	Access        string   `json:"access"`
	Allowed       []string `json:"allowed"`

	Method     string     `json:"method"` // exchange or manual
	Mine       bool       `json:"mine"`
	Status     string     `json:"status"` // online, offline, unauthorized, unknown
	Cause      string     `json:"cause,omitempty"`
	Hint       string     `json:"hint,omitempty"`
	KeyID      string     `json:"key_id,omitempty"`
	LatencyMS  *int64     `json:"latency_ms"` // of the last look at the server; null: it did not answer
	ExpiresAt  *time.Time `json:"expires_at"`
	LastSeenAt *time.Time `json:"last_seen_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	CreatedAt  time.Time  `json:"created_at"`
	Rotation   *Rotation  `json:"rotation,omitempty"` // the last try to renew the key before it expires has failed
	// Revision comes with the answer to a registration that made the connection: [apiclient.ConnectionCalls.DeleteIf] takes it back.
	Revision string `json:"revision,omitempty"`
}

// Rotation says why the cloud could not give a connection's key a new secret and a new end, and what to do about it.
type Rotation struct {
	At    time.Time `json:"at"`
	Cause string    `json:"cause"`
	Hint  string    `json:"hint"`
}

// ConnectionPatch changes a connection; nil leaves a field as it is. A new ServerURL erases the credential, so it comes
// with a new key or leaves the connection unauthorized.
type ConnectionPatch struct {
	Name       *string           `json:"name,omitempty"`
	Visibility *string           `json:"visibility,omitempty"`
	ServerURL  *string           `json:"server_url,omitempty"`
	APIKey     *bridge.Disclosed `json:"api_key,omitempty"`
	Ceiling    CeilingPatch      `json:"ceiling,omitzero"`
}

// Credential is what to call a server with.
type Credential struct {
	Type      string           `json:"type"` // access_token or api_key
	Header    string           `json:"header"`
	Value     bridge.Disclosed `json:"value"`
	ServerURL bridge.ServerURL `json:"server_url"`
	ExpiresAt *time.Time       `json:"expires_at"`
}

// Removed is the answer to deleting a connection. Where the cloud could not reach the server, Revocation is the signed
// statement that kills the key, for the caller to deliver: DELETE /ace/v1/api-keys/{key_id} with it as the bearer
// credential. The cloud keeps it and goes on trying.
type Removed struct {
	Connection Connection     `json:"connection"`
	Revocation *RevocationDue `json:"revocation,omitempty"` // nil: the connection had no key of an ace server
}

// RevocationDue is a revocation and how far it got.
type RevocationDue struct {
	ID        string            `json:"id"`
	KeyID     string            `json:"key_id"`
	ServerURL bridge.ServerURL  `json:"server_url"`
	Status    string            `json:"status"` // delivered, pending, or lost: to be revoked on the server by hand
	Cause     string            `json:"cause,omitempty"`
	Token     *bridge.Disclosed `json:"token,omitempty"` // while pending
}

// The kinds of [Undelivered].
const (
	StatementRevocation = "revocation"
	StatementWithdrawal = "withdrawal"
)

// Undelivered is a statement that a server has not taken yet. The cloud keeps it and sends it again.
type Undelivered struct {
	Kind       string           `json:"kind"`         // revocation or withdrawal
	ID         string           `json:"id,omitempty"` // of a revocation: whoever delivers it by other means says so with DELETE /v1/revocations/{id}
	KeyID      string           `json:"key_id"`
	ServerURL  bridge.ServerURL `json:"server_url"`
	Connection string           `json:"connection,omitempty"` // ID, of a withdrawal
	Name       string           `json:"name,omitempty"`       // of the connection
	Members    []string         `json:"members,omitempty"`    // whom a withdrawal takes access from
	Since      time.Time        `json:"since"`
	Tries      int64            `json:"tries"`
	Cause      string           `json:"cause"` // of the last one that failed
	NextTryAt  *time.Time       `json:"next_try_at,omitempty"`
	Hint       string           `json:"hint,omitempty"`
}

// DeveloperToken is a cloud JWT for scripts, shown once.
type DeveloperToken struct {
	Token     bridge.Disclosed `json:"token"`
	ExpiresAt time.Time        `json:"expires_at"`
}
