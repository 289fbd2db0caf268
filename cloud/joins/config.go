// Package joins owns join tokens, the servers that join with them, and the keys of their links.
//
// A server joins an organization with a token that can do nothing else. The token is counted once for each server; the same server
// may repeat what failed half way, while the token lasts:
//
//	[Store.Begin]     token ──► one use counted ──► connect token for the server
//	                               (the server exchanges it with itself, and seals its key)
//	[Store.Complete]  sealed key ──► connection of the organization, with the key of its links
//
//	join token:  active ──► used up | expired | revoked
//	link key:    current ──► replaced, and valid for a day, or an hour once the new one has opened a link ──► dropped
//
// A token ends with its maker's right to manage connections, which is asked at each step, and when the maker's account changes
// hands; a token of the operator ends by itself alone. A connection is found again by the server's own ID, never by its URL. The ID is
// no secret: the server proves with a key of its links that it is the same one ([bridge.JoinProof]), at both steps.
//
// A refused join is audited if the cloud knows the token, at most ten times at once and once a minute for each token.
//
// Connections themselves belong to cloud/connections, and so does the rule who sees and uses them. The package opens no link.
package joins

import (
	"context"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/schema"
)

// Config holds everything that the store may use. Every field is required.
type Config struct {
	DB     *schema.DB
	Joined *connections.Joined // makes and removes connections
	Feed   *connections.Feed
	Issuer bridge.ServerURL   // the cloud's own URL
	Root   bridge.SigningRoot // signs connect tokens; join tokens carry its public key
}

// Store owns join tokens and link keys. Its methods are safe for concurrent use.
type Store struct {
	db     *schema.DB
	joined *connections.Joined
	feed   *connections.Feed
	issuer bridge.ServerURL
	root   bridge.SigningRoot

	refusals *api.Limiter // of those that are audited
}

// Bounds of audited refusals of one token, and of all.
const (
	refusedEvery  = time.Minute
	refusedBurst  = 10
	refusedGlobal = 100
)

// New returns the store.
func New(cfg Config) *Store {
	return &Store{db: cfg.DB, joined: cfg.Joined, feed: cfg.Feed, issuer: cfg.Issuer, root: cfg.Root,
		refusals: api.NewLimiter(refusedEvery, refusedBurst, refusedGlobal, cfg.DB.Now)}
}

// Purge deletes the tokens and link keys that were over before a time.
func (st *Store) Purge(ctx context.Context, before time.Time) error {
	return st.db.DeleteBefore(ctx, before,
		"DELETE FROM join_tokens WHERE expires_at < $1",
		"DELETE FROM link_keys WHERE expires_at <> 0 AND expires_at < $1")
}
