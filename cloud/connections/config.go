// Package connections owns the rules and rows of connections: who sees, uses and shares them, and their history.
//
//	registered ──► shared ⇄ private ──► disconnected
//	    │ key: stored ──► rotated ──► … ──► revoked at the server
//	    └ a moved URL erases the credential
//
// Who may see and use a connection is one rule, in access.go: once in Go for a connection that was read, and once in SQL for
// many callers and connections; a test compares the two. [Tokens] hands out access tokens and remembers who holds which, so
// that they can be withdrawn; [Upkeep] keeps the status, the key and what is still to be said to servers.
//
//	access token: handed out ──► holder loses access ──► withdrawal due ──► told to the server ──► forgotten
//	revocation:   due ──► delivered | given up by an admin
//
// It calls no server: cloud/servers and cloud/relay do, and report what they found.
package connections

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/vault"
)

// Config is all that the stores may touch.
type Config struct {
	DB       *schema.DB
	Accounts *accounts.Store
	Vault    *vault.Vault       // seals the keys of connections
	Issuer   bridge.ServerURL   // the cloud's own URL
	Root     bridge.SigningRoot // opens the keys that servers seal
}

// Store owns connections: who sees, changes and shares them, and their history. Its methods are safe for concurrent use.
type Store struct {
	db       *schema.DB
	accounts *accounts.Store
	vault    *vault.Vault
	issuer   bridge.ServerURL
	root     bridge.SigningRoot
	log      *slog.Logger

	connectionsChanged chan struct{}
	revocationsDue     chan struct{}
	withdrawalsDue     chan struct{}
}

// Tokens owns what members use connections with: access tokens, their withdrawals, and the terms of relayed calls.
type Tokens struct {
	db         *schema.DB
	store      *Store
	log        *slog.Logger
	remembered remembered
}

// Upkeep owns what the cloud does for connections by itself: probes, rotations and revocations.
type Upkeep struct {
	db     *schema.DB
	store  *Store
	tokens *Tokens
	vault  *vault.Vault
	issuer bridge.ServerURL
	root   bridge.SigningRoot
	log    *slog.Logger
}

// New returns the stores of connections.
func New(cfg Config, log *slog.Logger) (*Store, *Tokens, *Upkeep, error) {
	remembered, err := newRemembered()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("connections: %w", err)
	}
	st := &Store{db: cfg.DB, accounts: cfg.Accounts, vault: cfg.Vault, issuer: cfg.Issuer, root: cfg.Root, log: log,
		connectionsChanged: make(chan struct{}, 1), revocationsDue: make(chan struct{}, 1),
		withdrawalsDue: make(chan struct{}, 1)}
	tokens := &Tokens{db: cfg.DB, store: st, log: log, remembered: remembered}
	return st, tokens, &Upkeep{db: cfg.DB, store: st, tokens: tokens, vault: cfg.Vault, issuer: cfg.Issuer, root: cfg.Root, log: log}, nil
}

// Purge deletes the revocations, uses and access tokens that were over at a time, and history that is too old.
func (st *Store) Purge(ctx context.Context, before time.Time) error {
	err := st.db.DeleteBefore(ctx, before,
		"DELETE FROM revocations WHERE expires_at < $1",
		"DELETE FROM relay_uses WHERE noted_at < $1",
		`DELETE FROM handed_tokens WHERE expires_at < $1 AND NOT makes_keys
			AND NOT (made_keys AND connection_id IN (SELECT c.id FROM connections c WHERE c.secret <> ''))`,
		"DELETE FROM access_changes WHERE changed_at < $1")
	if err != nil {
		return err
	}
	return st.purgeHistory(ctx)
}
