// Package accounts owns the rules and rows of people, organizations, members, invitations and sessions.
//
// A person has one account. What they may do comes from a membership of an organization, which has a role; a role is a set of
// scopes ([Scopes]). A session or an API key is turned into a [Principal]; with the actor for the audit log, that is a [Caller],
// which every rule takes.
//
//	              sign-up                 first proof of the address
//	(no account) ──────────► unproven ─────────────────────────────────► proven ──► member of organizations
//	                         no membership, no session, no token            │           │
//	                                                                       ▼           ▼
//	                             handover: the account moves to another address · a member leaves or is removed
//
// A [Handover] is the only way in which an account changes hands or a membership ends. It runs every [Voider] in the
// transaction of its cause, those of the stores above included, so that nothing that was handed out before survives.
//
//	session:       open ──► ended: signed out, expired, handover, new password, a refresh token or code used twice
//	refresh token: fresh ──► used once, and replaced
//	device login:  pending ──► approved ──► redeemed once        (RFC 8628)
//	                      └──► denied
//	code:          issued ──► redeemed once, within a minute     (RFC 6749 section 4.1)
//	invitation:    open ──► accepted | withdrawn | expired
//
// The package knows nothing of passwords, second factors and connections; it asks the stores above it through [Hooks]. It does
// read the table of sign-in providers; providers.go says why.
package accounts

import (
	"context"
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/schema"
)

// Config holds everything that the stores of this package may use. Every field is required.
type Config struct {
	DB     *schema.DB
	Outbox *outbox.Outbox
	Issuer bridge.ServerURL   // the cloud's own URL
	Root   bridge.SigningRoot // whose public keys servers trust
}

// Store owns people, organizations, members and invitations. It is safe for concurrent use.
type Store struct {
	db     *schema.DB
	outbox *outbox.Outbox
	issuer bridge.ServerURL
	root   bridge.SigningRoot
	log    *slog.Logger
	above  Hooks // set by [Store.UseHooks]
	keys   Keys  // the cloud's own; nil: see [Store.UseKeys]
}

// Sessions owns sessions, and the device logins and authorization codes that become one. It is safe for concurrent use.
type Sessions struct {
	db       *schema.DB
	accounts *Store
}

// New returns the stores of this package. [Store.UseHooks] must follow before they are used.
func New(cfg Config, log *slog.Logger) (*Store, *Sessions) {
	st := &Store{db: cfg.DB, outbox: cfg.Outbox, issuer: cfg.Issuer, root: cfg.Root, log: log}
	return st, &Sessions{db: cfg.DB, accounts: st}
}

// UseHooks connects the stores above. Call it once, before the first request.
func (st *Store) UseHooks(h Hooks) { st.above = h }

// Purge deletes the sessions, device logins, codes and invitations that were over before a time.
func (st *Store) Purge(ctx context.Context, before time.Time) error {
	return st.db.DeleteBefore(ctx, before,
		"DELETE FROM devices WHERE expires_at < $1",
		"DELETE FROM codes WHERE expires_at < $1",
		"DELETE FROM refresh_tokens WHERE expires_at < $1",
		"DELETE FROM sessions WHERE expires_at < $1 AND NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE session_id = sessions.id)",
		"DELETE FROM unproven_sessions WHERE expires_at < $1",
		"DELETE FROM invitations WHERE expires_at < $1")
}
