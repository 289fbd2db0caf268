package api

import (
	"time"

	"github.com/acebridge/ace/bridge"
)

// Paths at the cloud for servers that dial out.
const (
	PathJoin     = "/v1/join"          // POST [JoinRequest], with a join token as the bearer
	PathJoinDone = "/v1/join/complete" // POST [JoinComplete], with the same token
	PathLink     = "/v1/link"          // GET opens a link; DELETE leaves; both signed with the link's key
	PathLinkKeys = "/v1/link/keys"     // POST [LinkKey], signed with the link's present key: its successor
)

// HeaderStatement carries, in the refusal of a link, the signed revocation of its API key, which the server applies.
const HeaderStatement = "X-Ace-Statement"

// JoinTokenRequest asks for a join token (POST /v1/join-tokens). The zero value asks for one use within an hour.
type JoinTokenRequest struct {
	Name      string   `json:"name,omitempty"`       // of the token, in lists
	Uses      int      `json:"uses,omitempty"`       // how many servers may join with it; 0: one
	ExpiresIn int64    `json:"expires_in,omitempty"` // seconds; 0: an hour
	Tags      []string `json:"tags,omitempty"`       // of the connections that are made with it
	Share     bool     `json:"share,omitempty"`      // share the connections with the organization at once
}

// Bounds of a [JoinTokenRequest].
const (
	MaxJoinUses   = 10000
	MaxJoinLife   = 30 * 24 * time.Hour
	JoinLife      = time.Hour
	MaxTags       = 16
	MaxTag        = 64 // bytes
	JoinActive    = "active"
	JoinUsedUp    = "used_up"
	JoinExpired   = "expired"
	JoinRevoked   = "revoked"
	WayDirect     = "direct"
	WayTunnel     = "tunnel"
	AppUp         = "up"
	AppDown       = "down"
	AppNone       = "none" // the server has no upstream: apps ask it
	MaxLinkKey    = 64     // bytes of a public key in base64url
	MaxServerName = 100
)

// JoinToken is a join token without its secret (GET /v1/join-tokens; DELETE /v1/join-tokens/{id} revokes).
type JoinToken struct {
	ID        string     `json:"id"`
	Name      string     `json:"name,omitempty"`
	State     string     `json:"state"` // active, used_up, expired or revoked
	Uses      int        `json:"uses"`
	Used      int        `json:"used"`
	Tags      []string   `json:"tags,omitempty"`
	Share     bool       `json:"share"`
	CreatedBy string     `json:"created_by"` // an actor, as in the audit log
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	UsedAt    *time.Time `json:"used_at"` // last
}

// CreatedJoinToken is a new join token with its secret, which is shown once.
type CreatedJoinToken struct {
	JoinToken
	Token bridge.Disclosed `json:"token"`
}

// JoinRequest begins a join. The same server may repeat it while its token lasts, without another use.
type JoinRequest struct {
	ServerID  string   `json:"server_id"`
	ServerURL string   `json:"server_url"`       // one of its own, or [bridge.LinkURL] of its ID
	KeyIDs    []string `json:"key_ids"`          // of the cloud keys that it trusts
	Proofs    []string `json:"proofs,omitempty"` // of a server that joins again; see [bridge.JoinProof]
}

// JoinAnswer is what a joining server gets: whom it joins, and a connect token for itself.
type JoinAnswer struct {
	Org          string           `json:"org"`
	Organization string           `json:"organization"` // its name
	ConnectToken bridge.Disclosed `json:"connect_token"`
}

// JoinComplete registers the server's sealed key and its link's credential.
type JoinComplete struct {
	ServerID  string `json:"server_id"`
	ServerURL string `json:"server_url"`
	Name      string `json:"name,omitempty"` // of the connection; empty: the server's host name or ID
	SealedKey string `json:"sealed_key"`
	KeyID     string `json:"key_id"`
	LinkKey   string `json:"link_key"` // Ed25519 public key, base64url
	// Proofs are those of a server that joins again, and one of LinkKey itself: the same request may come twice.
	Proofs []string `json:"proofs,omitempty"`
}

// LinkKey is the public key of a link's credential.
type LinkKey struct {
	LinkKey string `json:"link_key"` // Ed25519 public key, base64url
}

// ConnectionLink is how the links of a connection's servers are.
type ConnectionLink struct {
	Links      int        `json:"links"`         // open now, at all replicas of the cloud
	Servers    int        `json:"servers"`       // server processes that hold them
	Since      *time.Time `json:"since"`         // when the present state began; null: there never was a link
	Reconnects int64      `json:"reconnects"`    // how often all links were lost and came back
	RoundTrip  *int64     `json:"round_trip_ms"` // of the last ping; null: none
}

// AppState is how the app behind a server is, as the server tells the cloud's probe.
type AppState struct {
	State string      `json:"state"` // up, down or none
	Code  bridge.Code `json:"code,omitempty"`
	Cause string      `json:"cause,omitempty"`
}

// The operator's API of a server, on the Unix socket in its data directory.
const (
	SocketName     = "server.sock" // in the data directory; only its owner may connect
	PathOperator   = "/operator"   // GET [ServerStatus]
	PathOperatorIn = "/operator/join"
	PathOperatorGo = "/operator/leave"
	// PathOperatorLog answers GET with an [OperatorLog].
	PathOperatorLog = "/operator/log"
)

// OperatorLog has the last lines of a running server's log, without secrets.
type OperatorLog struct {
	Lines []string `json:"lines"`
}

// OperatorJoin has a running server join an organization (POST /operator/join).
type OperatorJoin struct {
	Token bridge.Disclosed `json:"token"`
	Name  string           `json:"name,omitempty"`
}

// Joined is the outcome of a join.
type Joined struct {
	Org          string           `json:"org"`
	Organization string           `json:"organization"`
	Cloud        bridge.ServerURL `json:"cloud"`
	Connection   string           `json:"connection"` // ID
	Name         string           `json:"name"`
	ServerURL    bridge.ServerURL `json:"server_url"`
	KeyID        string           `json:"key_id"`
}

// Left is what a server has left.
type Left struct {
	Org   string           `json:"org"`
	Cloud bridge.ServerURL `json:"cloud"`
	Told  bool             `json:"told"` // the cloud has removed the connection; false: it could not be told, or knew nothing of it
}

// ServerStatus is how a running server is (`ace server status`).
type ServerStatus struct {
	Version    string             `json:"version"`
	ServerID   string             `json:"server_id"`
	PublicURLs []bridge.ServerURL `json:"public_urls"`
	Listening  string             `json:"listening,omitempty"` // empty: no TCP port
	StartedAt  time.Time          `json:"started_at"`
	Trust      *ServerTrust       `json:"trust"` // null: no cloud
	App        AppState           `json:"app"`
	Links      []ServerLinks      `json:"links"`
	Ready      bool               `json:"ready"`
	Code       bridge.Code        `json:"code,omitempty"` // why it is not
	Cause      string             `json:"cause,omitempty"`
	Hint       string             `json:"hint,omitempty"`
}

// ServerTrust is the cloud that a server trusts.
type ServerTrust struct {
	Cloud  bridge.ServerURL `json:"cloud"`
	Org    string           `json:"org"`
	Pinned bool             `json:"pinned"` // by a join
}

// ServerLinks are the links of one connection, as its server sees them.
type ServerLinks struct {
	KeyID   string       `json:"key_id"`
	Joined  bool         `json:"joined"`   // false: connected with `ace connect`
	ProbeAt *time.Time   `json:"probe_at"` // when a probe last came over a link; null: none yet
	Links   []ServerLink `json:"links"`
}

// ServerLink is one link, as its server sees it.
type ServerLink struct {
	Up         bool        `json:"up"`
	Since      time.Time   `json:"since"`
	Reconnects int         `json:"reconnects"`
	Code       bridge.Code `json:"code,omitempty"` // why it is down
	Cause      string      `json:"cause,omitempty"`
}
