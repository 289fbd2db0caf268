package accounts

import (
	"context"
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/schema"
)

// Config is all that the store may touch.
type Config struct {
	DB     *schema.DB
	Outbox *outbox.Outbox
	Issuer bridge.ServerURL   // the cloud's own URL
	Root   bridge.SigningRoot // of the variables with which servers trust the cloud
}

// Store owns people, organizations, members and invitations. Its methods are safe for concurrent use.
type Store struct {
	db     *schema.DB
	outbox *outbox.Outbox
	issuer bridge.ServerURL
	root   bridge.SigningRoot
	log    *slog.Logger
	above  Hooks // set by [Store.UseHooks]
	keys   Keys  // of the cloud itself; nil: see [Store.UseKeys]
}

// Sessions owns sessions and what becomes one: device logins and authorization codes.
type Sessions struct {
	db       *schema.DB
	accounts *Store
}

// New returns the store, and that of the sessions. [Store.UseHooks] completes them.
func New(cfg Config, log *slog.Logger) (*Store, *Sessions) {
	st := &Store{db: cfg.DB, outbox: cfg.Outbox, issuer: cfg.Issuer, root: cfg.Root, log: log}
	return st, &Sessions{db: cfg.DB, accounts: st}
}

// UseHooks sets what the stores above do. It is called once, before the first change.
func (st *Store) UseHooks(h Hooks) { st.above = h }

// Purge deletes the sessions, device logins, codes and invitations that were over at a time.
func (st *Store) Purge(ctx context.Context, before time.Time) error {
	return st.db.DeleteBefore(ctx, before,
		"DELETE FROM devices WHERE expires_at < $1",
		"DELETE FROM codes WHERE expires_at < $1",
		"DELETE FROM refresh_tokens WHERE expires_at < $1",
		"DELETE FROM sessions WHERE expires_at < $1 AND NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE session_id = sessions.id)",
		"DELETE FROM unproven_sessions WHERE expires_at < $1",
		"DELETE FROM invitations WHERE expires_at < $1")
}
