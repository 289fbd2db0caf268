// Package factors owns the second factors of accounts, and asks for the password again before they change.
//
// A second factor is an authenticator app, whose codes count once, with ten recovery codes for the day when it is lost:
//
//	off ──► enrolled ──► confirmed by a first code: on ──► off
//	            │                       │
//	            └── purged after a day  └── recovery codes: fresh ──► used once; renewed all together
//
// Turning it off, renewing the recovery codes and moving to another address take the password and a code ([Store.WithBoth]).
// Wrong ones are counted by session, so that someone at an open browser cannot guess them; see [lockout].
//
// A check holds only while it is still true: [RequireUnchanged] fails the transaction that follows if the password has
// changed or a second factor was turned on meanwhile.
package factors

import (
	"context"
	"database/sql"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/lockout"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/vault"
)

// Config holds everything that the store may use. Every field is required.
type Config struct {
	DB       *schema.DB
	Accounts *accounts.Store // ends sessions
	Outbox   *outbox.Outbox  // tells a person what has changed
	Vault    *vault.Vault    // seals the secrets of apps
	Lockout  *lockout.Store
	Hasher   *passwords.Hasher
	Issuer   bridge.ServerURL // the cloud's own URL, under whose host the app lists the account
}

// Store owns second factors. Its methods are safe for concurrent use.
type Store struct {
	db       *schema.DB
	accounts *accounts.Store
	outbox   *outbox.Outbox
	vault    *vault.Vault
	lockout  *lockout.Store
	hasher   *passwords.Hasher
	issuer   bridge.ServerURL
}

// New returns the store.
func New(cfg Config) *Store {
	return &Store{db: cfg.DB, accounts: cfg.Accounts, outbox: cfg.Outbox, vault: cfg.Vault, lockout: cfg.Lockout, hasher: cfg.Hasher,
		issuer: cfg.Issuer}
}

// Voiders are the kinds of credential kept here; see [accounts.Voider].
func (st *Store) Voiders() []accounts.Voider {
	return []accounts.Voider{{Kind: "second factors", Tables: []string{"totp", "recovery_codes"}, Void: st.void}}
}

func (st *Store) void(ctx context.Context, tx *sql.Tx, h accounts.Handover) error {
	if !h.Whole() || h.Own {
		return nil
	}
	return forget(ctx, tx, h.User.ID)
}

// Purge deletes the enrolments that were begun before a time and never confirmed.
func (st *Store) Purge(ctx context.Context, before time.Time) error {
	return st.db.DeleteBefore(ctx, before, "DELETE FROM totp WHERE confirmed_at = 0 AND created_at < $1")
}
