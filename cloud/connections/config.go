// Package connections owns the rules and rows of connections: who sees, uses and shares them.
//
//	registered ──► private ⇄ shared ──► disconnected: the key revokes itself with its last act
//	    │
//	    ├ key:     stored ──► replaced | rotated ──► … ──► revoked at the server
//	    ├ moved:   another URL erases the key, which was for the old server only
//	    └ limited: by a ceiling (for all but the owner) and by limits (for one member or API key)
//
// One rule, in access.go, decides who may see and use a connection: once in Go for a connection that was read, and once in SQL
// for many callers and connections; a test compares the two.
//
// [Store] changes connections. [Feed] numbers each change and tells watchers. [History] counts the status of connections and
// their use:
//
//	change:  made ──► numbered in its transaction ──► told to each watcher who may know of it ──► forgotten
//	history: counted by half hours and days ──► kept for 24 hours and 30 days ──► deleted
//
// [Connection] is a row with its sealed key. The stores above work with it; the rooms get [Connection.API]. It calls no server and
// signs no token: cloud/tokens hands out tokens, and cloud/upkeep does the periodic work: probes, rotations, revocations.
package connections

import (
	"context"
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/vault"
)

// Config holds everything that the stores may use. Every field is required.
type Config struct {
	DB       *schema.DB
	Accounts *accounts.Store
	Vault    *vault.Vault       // seals the keys of connections
	Issuer   bridge.ServerURL   // the cloud's own URL
	Root     bridge.SigningRoot // opens the keys that servers seal
	Signals  Signals
}

// Signals wake the workers that act on connections. Each channel holds one wake-up.
type Signals struct {
	Changed     chan struct{} // watchers may have changes to be told
	Revocations chan struct{} // a revocation may be due
	Withdrawals chan struct{} // access tokens may have to be withdrawn
}

// NewSignals returns the signals that the stores of one cloud share.
func NewSignals() Signals {
	return Signals{make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)}
}

// Store changes connections, and reads them for those who may see them. Its methods are safe for concurrent use.
type Store struct {
	db       *schema.DB
	accounts *accounts.Store
	vault    *vault.Vault
	issuer   bridge.ServerURL
	root     bridge.SigningRoot
	log      *slog.Logger
	feed     *Feed
}

// Feed numbers the changes of connections, and tells them to watchers. Its methods are safe for concurrent use.
type Feed struct {
	db      *schema.DB
	signals Signals
}

// History counts the status of connections and their use. Its methods are safe for concurrent use.
type History struct {
	db    *schema.DB
	store *Store
}

// New returns the stores of connections: the connections themselves, the feed of their changes, and their history.
func New(cfg Config, log *slog.Logger) (*Store, *Feed, *History) {
	feed := &Feed{db: cfg.DB, signals: cfg.Signals}
	st := &Store{db: cfg.DB, accounts: cfg.Accounts, vault: cfg.Vault, issuer: cfg.Issuer, root: cfg.Root, log: log, feed: feed}
	return st, feed, &History{db: cfg.DB, store: st}
}

// Purge deletes the revocations that were over before a time.
func (st *Store) Purge(ctx context.Context, before time.Time) error {
	return st.db.DeleteBefore(ctx, before, "DELETE FROM revocations WHERE expires_at < $1")
}
