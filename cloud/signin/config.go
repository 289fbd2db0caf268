// Package signin handles password sign-in, and mailed links that verify an address or reset a password.
//
//	password ──► right ──► second factor off ─────────────────► session
//	                 └───► second factor on ──► code in 5 min ──► session
//	mailed link: asked for ──► written when the mail is due ──► used once, superseded, or expired
//
// A wrong password costs the same work and gets the same answer whether or not the account exists; after several, one has to
// wait (see [lockout]). A sign-in that is under way ends if the password or the second factor changes meanwhile. A new password
// ends all that the old one had opened: sessions, approvals, sign-ins under way, known devices, reset links and pending
// changes of address.
//
// Second factors are in cloud/factors, changes of address in cloud/addresses, sign-ins through an organization's own
// provider in cloud/providers, new accounts in cloud/signup.
package signin

import (
	"context"
	"database/sql"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/joining"
	"github.com/acebridge/ace/cloud/lockout"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/schema"
)

// Config holds everything that the stores of this package may use. Every field is required.
type Config struct {
	DB        *schema.DB
	Accounts  *accounts.Store
	Sessions  *accounts.Sessions
	Outbox    *outbox.Outbox // New has it write links with [Links]
	Joining   *joining.Store
	Factors   *factors.Store
	Addresses *addresses.Store
	Lockout   *lockout.Store
	Hasher    *passwords.Hasher
	Issuer    bridge.ServerURL // the cloud's own URL, which the links begin with
}

// Store signs people in with their password. Its methods are safe for concurrent use.
type Store struct {
	db       *schema.DB
	sessions *accounts.Sessions
	factors  *factors.Store
	lockout  *lockout.Store
	hasher   *passwords.Hasher
}

// Passwords changes passwords. Its methods are safe for concurrent use.
type Passwords struct {
	db        *schema.DB
	accounts  *accounts.Store
	outbox    *outbox.Outbox
	factors   *factors.Store
	addresses *addresses.Store
	hasher    *passwords.Hasher
}

// Links owns the mailed links that verify an address or reset a password. Its methods are safe for concurrent use.
type Links struct {
	db        *schema.DB
	accounts  *accounts.Store
	outbox    *outbox.Outbox
	joining   *joining.Store
	passwords *Passwords
	hasher    *passwords.Hasher
	issuer    bridge.ServerURL
}

// New returns the stores of this package.
func New(cfg Config) (*Store, *Passwords, *Links) {
	pw := &Passwords{db: cfg.DB, accounts: cfg.Accounts, outbox: cfg.Outbox, factors: cfg.Factors, addresses: cfg.Addresses, hasher: cfg.Hasher}
	links := &Links{db: cfg.DB, accounts: cfg.Accounts, outbox: cfg.Outbox, joining: cfg.Joining, passwords: pw, hasher: cfg.Hasher,
		issuer: cfg.Issuer}
	cfg.Outbox.WriteWith(links.write)
	return &Store{db: cfg.DB, sessions: cfg.Sessions, factors: cfg.Factors, lockout: cfg.Lockout, hasher: cfg.Hasher}, pw, links
}

// Voiders are the kinds of credential kept here; see [accounts.Voider].
func (st *Store) Voiders() []accounts.Voider {
	return []accounts.Voider{{Kind: "sign-ins", Tables: []string{"pending_logins", "known_devices", "mail_tokens", "outbox"}, Void: st.void}}
}

func (st *Store) void(ctx context.Context, tx *sql.Tx, h accounts.Handover) error {
	if !h.Whole() {
		return nil
	}
	if err := endPending(ctx, tx, h.User.ID); err != nil {
		return err
	}
	return endLinks(ctx, tx, h.User, PurposeVerify, PurposeReset)
}

// endPending ends a person's sign-ins under way, and forgets where they have signed in from.
func endPending(ctx context.Context, tx *sql.Tx, userID string) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM pending_logins WHERE user_id = $1", userID); err != nil {
		return err
	}
	return lockout.ForgetDevices(ctx, tx, userID)
}

// Purge deletes the links and the sign-ins under way that were over before a time.
func (st *Store) Purge(ctx context.Context, before time.Time) error {
	return st.db.DeleteBefore(ctx, before,
		"DELETE FROM mail_tokens WHERE expires_at < $1",
		"DELETE FROM pending_logins WHERE expires_at < $1")
}
