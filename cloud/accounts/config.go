// Package accounts owns the rules and rows of people, organizations, members, invitations and sessions.
//
// A person is an account; what it may do comes from a membership of an organization, with a role. A session or an API key
// makes a [Principal] of it, and with the actor that is audited a [Caller]: what every rule asks.
//
//	            sign-up, provider            proof of the address
//	(nobody) ────────────────────► unproven ─────────────────────► proven ──► member of organizations
//	                                  │  no membership, no token       │
//	                                  └──────── taken over ────────────┤
//	                                                                   ▼
//	                                            handover: what was handed out before is void
//
// A [Handover] is the one way in which an account or a membership ends or changes hands: at the first proof, when a provider
// takes the account over, when the address changes, and when a member is removed. It runs every [Voider], those of the stores
// above included, in the transaction of its cause.
//
//	session:  open ──► ended (signed out, switched, expired, handover)
//	device:   waiting ──► approved ──► redeemed once        invitation: open ──► accepted | withdrawn | expired
//
// The package knows nothing of passwords and providers (cloud/signin) or of connections (cloud/connections); it asks them
// through [Hooks].
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
