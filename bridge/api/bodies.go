package api

import (
	"time"

	"github.com/acebridge/ace/bridge"
)

// Headers shared by the CLI, clouds, servers and their callers.
const (
	// HeaderRequestID carries the ID of a request; see [TakeRequestID].
	HeaderRequestID = "X-Request-Id"

	// HeaderRelay is "1" on a relay call that authenticates with a cookie, which no page of another site can set. On a
	// response it says who gave it: [RelayServer] or [RelayCloud].
	HeaderRelay = "X-Ace-Relay"

	// HeaderIdempotencyKey makes a rotation safe to retry (draft-ietf-httpapi-idempotency-key-header).
	HeaderIdempotencyKey = "Idempotency-Key"
)

// List is one page of a list. NextCursor is empty on the last page.
type List[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"`
}

// Discovery is what a server publishes about itself at /.well-known/ace-server.
//
// Anyone may read it and nothing in it is trusted: it explains refusals, and tells which kind of signature the server can
// check.
type Discovery struct {
	Product      string             `json:"product"` // always "ace"
	Version      string             `json:"version"`
	PublicURL    bridge.ServerURL   `json:"public_url"`
	PublicURLs   []bridge.ServerURL `json:"public_urls"`
	Exchange     DiscoveryExchange  `json:"exchange"`
	Capabilities []string           `json:"capabilities"`
	ServerID     string             `json:"server_id,omitempty"` // by which clouds know a server that opens links
	Time         time.Time          `json:"time"`                // the server's clock, to explain refusals caused by clock skew
}

// Capabilities that decide how a cloud talks to a server; see [Discovery].
const (
	CapabilityNumberedWithdrawals = "numbered_withdrawals" // understands numbers in withdrawals and access tokens
	CapabilityTunnel              = "tunnel"               // opens links to its cloud
	CapabilityLineage             = "lineage"              // has personal keys, and connect tokens that replace a key
)

// DiscoveryExchange says whether the server exchanges connect tokens, and of which cloud and organization.
type DiscoveryExchange struct {
	Configured bool             `json:"configured"`
	Issuer     bridge.ServerURL `json:"issuer,omitempty"`
	Org        string           `json:"org,omitempty"`
	KeyIDs     []string         `json:"key_ids,omitempty"`
}

// ExchangeRequest asks a server for a key; the connect token is the request's bearer credential.
type ExchangeRequest struct {
	Name string `json:"name,omitempty"`
}

// ExchangeAnswer is the issued key: sealed if the connect token names a sealing key, otherwise in the clear.
type ExchangeAnswer struct {
	KeyID     string            `json:"key_id"`
	Prefix    string            `json:"prefix"`
	SealedKey string            `json:"sealed_key,omitempty"`
	Key       *bridge.Disclosed `json:"key,omitempty"`
	Org       string            `json:"org"`
	Scopes    []string          `json:"scopes"`
	ExpiresAt time.Time         `json:"expires_at"`
	ConfirmBy time.Time         `json:"confirm_by"` // the key dies then unless it has been used by that time
	// LinkKey is the public key of the link that the server will open for this key; empty: it opens none.
	LinkKey string `json:"link_key,omitempty"`
}

// CreateKeyRequest asks for an API key.
//
// ExpiresIn takes "90d", "12h", "2027-01-31" or "never"; empty means 90 days. Without Preset and Scopes the key gets the
// catalogue's default preset.
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
	Lineage     string   `json:"lineage,omitempty"` // personal or organization; empty: whichever the caller may create
}

// ReviveKeyRequest asks for a new secret for a key; the old one dies at once.
type ReviveKeyRequest struct {
	ExpiresIn string `json:"expires_in,omitempty"` // as in CreateKeyRequest
}

// RotateKeyRequest asks for a new secret for a key while the old one stays valid.
//
// It stays valid for the grace period: "24h" by default, "0s" for none. ExpiresIn is as in CreateKeyRequest; empty gives the
// new secret the same lifetime as the old one had.
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
	// Status is active, unconfirmed or disabled; for a dead key expired, revoked, used_up or lapsed. An active key that is
	// refused because of an ancestor shows the ancestor's state: parent_disabled, parent_expired and so on.
	Status     string       `json:"status"`
	CreatedBy  string       `json:"created_by"`
	CreatedAt  time.Time    `json:"created_at"`
	ExpiresAt  *time.Time   `json:"expires_at"`            // null: never
	GraceUntil *time.Time   `json:"grace_until,omitempty"` // until then the secret from before the rotation is valid too
	AllowFrom  []string     `json:"allow_from,omitempty"`  // CIDRs; none: any address
	Rate       string       `json:"rate,omitempty"`        // "100/m"
	MaxUses    int64        `json:"max_uses,omitempty"`
	Uses       int64        `json:"uses,omitempty"` // counted only if max_uses is set
	LastUsed   *LastUse     `json:"last_used,omitempty"`
	Disabled   *KeyDisabled `json:"disabled,omitempty"`
	Ended      *KeyEnd      `json:"ended,omitempty"` // why, when and by whom a dead key died

	// Lineage is personal or organization; empty for a connection's key. A personal key dies with its parent, and when its
	// subject loses access.
	Lineage string `json:"lineage,omitempty"`
	Parent  string `json:"parent,omitempty"`  // ID of the key it was created with
	Subject string `json:"subject,omitempty"` // the person it was created for
	// DoubtedAt is when a backup was restored, from which the key's revocation may be missing; null: no doubt, or resolved.
	DoubtedAt *time.Time `json:"doubted_at,omitempty"`
	// ParentUnknown: created before parents were recorded, so a withdrawal over any connection limits it.
	ParentUnknown bool `json:"parent_unknown,omitempty"`
	// StatusCause is the ancestor behind a parent_… status.
	StatusCause *KeyCause `json:"status_cause,omitempty"`
	// Limit is what the subject's access leaves to the key; absent: everything that its own scopes allow.
	Limit *KeyLimit `json:"limit,omitempty"`
	// Children is how many living keys were created with it; Descendants counts theirs as well. Only for a single key.
	Children    int `json:"children,omitempty"`
	Descendants int `json:"descendants,omitempty"`
}

// KeyCause is the ancestor that keeps a key from being used.
type KeyCause struct {
	KeyID  string `json:"key_id"`
	Status string `json:"status"` // the ancestor's own, or unknown
	Detail string `json:"detail"`
	Hint   string `json:"hint"`
}

// KeyLimit is the most that the subject's access leaves to a personal key.
type KeyLimit struct {
	Scopes []string    `json:"scopes,omitempty"` // empty: not limited by scopes
	Role   bridge.Role `json:"role,omitempty"`   // limited to this role's ceiling; empty: not limited by role
}

// KeyDisabled says when and by whom a key was disabled.
type KeyDisabled struct {
	At time.Time `json:"at"`
	By string    `json:"by"`
}

// CreatedKey is an APIKey with its secret, which is shown only once.
type CreatedKey struct {
	Key bridge.Disclosed `json:"key"`
	APIKey
}

// LastUse is the last use of a key; it may lag by a few seconds.
type LastUse struct {
	At        time.Time `json:"at"`
	Address   string    `json:"address,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
}

// KeyEnd says when, why and by whom a key was ended.
type KeyEnd struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// Identity says who a credential belongs to (GET /ace/v1/me).
type Identity struct {
	KeyID       string     `json:"key_id,omitempty"`
	Type        string     `json:"type"` // api_key, access_token or user_token
	Name        string     `json:"name,omitempty"`
	Subject     string     `json:"subject"`
	Org         string     `json:"org"`
	Environment string     `json:"environment"`
	Scopes      []string   `json:"scopes"`
	ExpiresAt   *time.Time `json:"expires_at"`
	// Owner is the owner of the key behind the credential; CanActAs: access tokens signed with it may name other subjects.
	Owner    string `json:"owner,omitempty"`
	CanActAs bool   `json:"can_act_as"`
	Kind     string `json:"kind,omitempty"`
	Lineage  string `json:"lineage,omitempty"` // of the key, as in APIKey
	Parent   string `json:"parent,omitempty"`
	// KeySubject is the person the key was created for; Limit is what their access leaves to it, as in APIKey.
	KeySubject    string    `json:"key_subject,omitempty"`
	ParentUnknown bool      `json:"parent_unknown,omitempty"`
	Limit         *KeyLimit `json:"limit,omitempty"`
	// KeyIssuedAt and KeyExpiresAt bound the validity of the key's secret that the credential is, or is derived from. Null:
	// unknown, or no end.
	KeyIssuedAt  *time.Time `json:"key_issued_at,omitempty"`
	KeyExpiresAt *time.Time `json:"key_expires_at,omitempty"`
	// App is how the app behind the server is; only a probe of the cloud is told.
	App *AppState `json:"app,omitempty"`
}

// IntrospectRequest asks who a credential belongs to. With Method and URI it asks for a decision as well.
type IntrospectRequest struct {
	Token     bridge.Secret
	Address   string // of the client that presented the credential, for keys with an allowlist
	UserAgent string
	Spend     bool // count this as a use
	Method    string
	URI       string
}

// Introspection is the response of RFC 7662 section 2.2, with a guard's extras.
//
// For a credential that is not active it says only that.
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
	Number      int64  `json:"number,omitempty"` // of an access token: number of its key's last withdrawal at issue time
	Probe       bool   `json:"probe,omitempty"`  // an access token with which the cloud checks that the server answers
	WarnFrom    int64  `json:"warn_from,omitempty"`
	Generation  string `json:"generation,omitempty"` // of the key's secret, as in KeyChange
	Metered     bool   `json:"metered,omitempty"`    // each use must be verified: do not cache this answer
	Counted     bool   `json:"counted,omitempty"`    // each use is counted: ask again with spend=true for each
	// Decision says whether the request may pass, if the question named one.
	Decision *Decision `json:"decision,omitempty"`
}

// Decision is the catalogue's verdict on one request.
type Decision struct {
	Allowed bool        `json:"allowed"`
	Code    bridge.Code `json:"code,omitempty"`  // why not
	Scope   string      `json:"scope,omitempty"` // the missing scope
	Rule    string      `json:"rule,omitempty"`
}

// KeyChange is one line of the stream of changed keys (GET /ace/v1/revocations).
//
// A line with a KeyID: drop every cached answer about that key, and cut what is open under another generation or with a
// withdrawn token. A line with Reset: some changes were lost, so do the same for all keys. A line with neither is a heartbeat:
// every change up to its position has been sent.
type KeyChange struct {
	Position int64           `json:"position"` // to continue from, as "since" of the next stream
	Reset    bool            `json:"reset,omitempty"`
	KeyID    string          `json:"key_id,omitempty"`
	Alive    []KeyGeneration `json:"alive,omitempty"` // generations of the key's secret that are valid
	// Withdrawn maps a subject to a time (unix seconds) until which its access tokens are dead; "*" is every member.
	Withdrawn map[string]int64 `json:"withdrawn,omitempty"`
	// Numbers maps a subject to the number below which its numbered access tokens are dead. Clocks maps it to the issue time
	// up to which statements without a number have ended tokens. See bridge.Taken.
	Numbers map[string]int64 `json:"withdrawn_numbers,omitempty"`
	Clocks  map[string]int64 `json:"withdrawn_clocks,omitempty"`
}

// KeyGeneration is one of a key's secrets and its end (unix seconds; 0: no end).
type KeyGeneration struct {
	Generation string `json:"generation"`
	Until      int64  `json:"until,omitempty"`
}

// LeakReport answers one entry of a report of leaked keys.
//
// The format is that of GitHub's secret scanning partner program: one answer for each key that was sent.
type LeakReport struct {
	TokenHash string `json:"token_hash,omitempty"` // base64 SHA-256 of the reported token
	TokenRaw  string `json:"token_raw,omitempty"`
	TokenType string `json:"token_type"`
	Label     string `json:"label"` // true_positive: it was a key of this server and is now revoked
}

// Refusal says why a request was refused (GET /ace/v1/refusals/{request-id}).
type Refusal struct {
	RequestID string      `json:"request_id"`
	At        time.Time   `json:"at"`
	Status    int         `json:"status"`
	Code      bridge.Code `json:"code"`   // what the caller was told
	Cause     bridge.Code `json:"cause"`  // the exact code
	Detail    string      `json:"detail"` // the exact cause
	Hint      string      `json:"hint,omitempty"`
	Scope     string      `json:"scope,omitempty"`
	LimitedBy string      `json:"limited_by,omitempty"` // what takes the scope from a key that itself has it
	KeyID     string      `json:"key_id,omitempty"`
	Subject   string      `json:"subject,omitempty"`
	Method    string      `json:"method,omitempty"`
	Path      string      `json:"path,omitempty"`
	Address   string      `json:"address,omitempty"`
}

// AuditEntry is one entry of an audit log.
type AuditEntry struct {
	ID        string            `json:"id"`
	At        time.Time         `json:"at"`
	Actor     string            `json:"actor"`
	Action    string            `json:"action"` // noun.verb: key.create, connection.share
	Target    string            `json:"target"`
	Org       string            `json:"org,omitempty"`
	Outcome   string            `json:"outcome"` // ok, or the code of the refusal
	Address   string            `json:"address,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
	Details   map[string]string `json:"details,omitempty"`
}

// Me is who a cloud credential belongs to: a person or an API key.
//
// An API key has no e-mail address, unless it is a personal access token.
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

// Organization is an organization that the caller belongs to.
type Organization struct {
	ID   string `json:"id"`
	Slug string `json:"slug"`
	Name string `json:"name"`
	Role string `json:"role"`
}

// TrustVariables are what a server needs to trust this cloud (GET /v1/organizations/{org}/trust); one of them is set.
type TrustVariables struct {
	Org       string           `json:"org"`
	CloudURL  bridge.ServerURL `json:"cloud_url"`
	PublicKey string           `json:"ACE_CLOUD_PUBLIC_KEY"`
	JWTSecret bridge.Disclosed `json:"ACE_CLOUD_JWT_SECRET"`
}

// RegisterRequest registers a connection, with a sealed key or one entered by hand.
type RegisterRequest struct {
	ServerURL string            `json:"server_url"`
	Name      string            `json:"name,omitempty"`
	SealedKey string            `json:"sealed_key,omitempty"`
	APIKey    *bridge.Disclosed `json:"api_key,omitempty"`
	LinkKey   string            `json:"link_key,omitempty"` // of [ExchangeAnswer]
	// IfKeyID, if set, is the key that the member's connection to this server must have now ("": there must be no
	// connection). Otherwise nothing is replaced and the code is connection_moved.
	IfKeyID *string `json:"if_key_id,omitempty"`
}

// Connection is a registered server. It never carries a key.
type Connection struct {
	ID        string           `json:"id"`
	Name      string           `json:"name"`
	ServerURL bridge.ServerURL `json:"server_url"`
	Owner     string           `json:"owner"` // email
	// OwnerOnly: its key speaks for its own subject only, so nobody but the owner can use the connection.
	OwnerOnly  bool     `json:"owner_only,omitempty"`
	OwnerGone  bool     `json:"owner_gone,omitempty"` // the owner has left: only admins can disconnect it
	Visibility string   `json:"visibility"`           // private or organization
	Ceiling    []string `json:"ceiling"`              // the most scopes that members get; null: the key's own
	// CeilingPreset is the server's preset that the ceiling comes from. Access is the caller's: full, limited or none.
	// Allowed are the scopes that the caller gets at most; null: the key's own.
	CeilingPreset string   `json:"ceiling_preset,omitempty"`
	Access        string   `json:"access"`
	Allowed       []string `json:"allowed"`

	Method     string          `json:"method"` // exchange or manual
	Mine       bool            `json:"mine"`
	Status     string          `json:"status"` // online, offline, unauthorized, unknown
	Cause      string          `json:"cause,omitempty"`
	CauseCode  bridge.Code     `json:"cause_code,omitempty"` // of links and apps: no_link, link_silent, app_down
	Hint       string          `json:"hint,omitempty"`
	KeyID      string          `json:"key_id,omitempty"`
	LatencyMS  *int64          `json:"latency_ms"` // of the last probe; null: the server did not answer
	ExpiresAt  *time.Time      `json:"expires_at"`
	LastSeenAt *time.Time      `json:"last_seen_at"`
	LastUsedAt *time.Time      `json:"last_used_at"`
	CreatedAt  time.Time       `json:"created_at"`
	Rotation   *Rotation       `json:"rotation,omitempty"` // set if the last attempt to renew the key failed
	Way        string          `json:"way,omitempty"`      // how the cloud reaches the server: direct or tunnel
	Link       *ConnectionLink `json:"link,omitempty"`     // of a server that has linked
	Tags       []string        `json:"tags,omitempty"`
	// Revision is set in the response that created the connection: [apiclient.ConnectionCalls.DeleteIf] undoes that.
	Revision string `json:"revision,omitempty"`
}

// Rotation says why the cloud could not renew a connection's key, and what to do about it.
type Rotation struct {
	At    time.Time `json:"at"`
	Cause string    `json:"cause"`
	Hint  string    `json:"hint"`
}

// ConnectionPatch changes a connection; nil leaves a field as it is.
//
// A new ServerURL erases the credential: send a new key along, or the connection becomes unauthorized.
type ConnectionPatch struct {
	Name       *string           `json:"name,omitempty"`
	Visibility *string           `json:"visibility,omitempty"`
	ServerURL  *string           `json:"server_url,omitempty"`
	APIKey     *bridge.Disclosed `json:"api_key,omitempty"`
	Ceiling    CeilingPatch      `json:"ceiling,omitzero"`
}

// Credential is what to call a connection's server with: send Value in the header Header, before ExpiresAt.
type Credential struct {
	Type      string           `json:"type"` // access_token or api_key
	Header    string           `json:"header"`
	Value     bridge.Disclosed `json:"value"`
	ServerURL bridge.ServerURL `json:"server_url"`
	ExpiresAt *time.Time       `json:"expires_at"`
}

// Removed is the answer to deleting a connection.
//
// If the cloud could not reach the server, Revocation holds the signed statement that kills the key, for the caller to
// deliver: DELETE /ace/v1/api-keys/{key_id} with it as the bearer credential. The cloud keeps trying as well.
type Removed struct {
	Connection Connection     `json:"connection"`
	Revocation *RevocationDue `json:"revocation,omitempty"` // nil: the connection had no key of an ace server
}

// RevocationDue is a revocation and its state.
type RevocationDue struct {
	ID        string            `json:"id"`
	KeyID     string            `json:"key_id"`
	ServerURL bridge.ServerURL  `json:"server_url"`
	Status    string            `json:"status"` // delivered, pending, or lost: has to be revoked on the server by hand
	Cause     string            `json:"cause,omitempty"`
	Token     *bridge.Disclosed `json:"token,omitempty"` // while pending
}

// The kinds of [Undelivered].
const (
	StatementRevocation = "revocation"
	StatementWithdrawal = "withdrawal"
)

// Undelivered is a statement that a server has not accepted yet. The cloud keeps sending it.
type Undelivered struct {
	Kind       string           `json:"kind"`         // revocation or withdrawal
	ID         string           `json:"id,omitempty"` // of a revocation; DELETE /v1/revocations/{id} reports it as delivered by hand
	KeyID      string           `json:"key_id"`
	ServerURL  bridge.ServerURL `json:"server_url"`
	Connection string           `json:"connection,omitempty"` // ID, of a withdrawal
	Name       string           `json:"name,omitempty"`       // of the connection
	Members    []string         `json:"members,omitempty"`    // who loses access by a withdrawal
	Since      time.Time        `json:"since"`
	Tries      int64            `json:"tries"`
	Cause      string           `json:"cause"` // of the last failed try
	NextTryAt  *time.Time       `json:"next_try_at,omitempty"`
	Hint       string           `json:"hint,omitempty"`
}

// DeveloperToken is a cloud JWT for scripts, shown once.
type DeveloperToken struct {
	Token     bridge.Disclosed `json:"token"`
	ExpiresAt time.Time        `json:"expires_at"`
}
