// Package addresses moves accounts to another e-mail address.
//
// Its person asks, with the password and, if it is on, the second factor. Two links are mailed:
//
//	asked ──► the link to the new address, opened while signed in ──► moved
//	     ├──► the link to the old address, or the person ──► stopped
//	     └──► a new password, another request, a handover, 24 hours ──► void
//
// With the move, everything handed out before is void (see [accounts.Handover]); the password and the second factor stay,
// since the account is the same person's. The operator can move an account at once ([Store.Set]), and an account without a
// password follows the address that its organization's provider reports ([Store.Move]).
package addresses

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/schema"
)

// Config holds everything that the store may use. Every field is required.
type Config struct {
	DB       *schema.DB
	Accounts *accounts.Store
	Sessions *accounts.Sessions
	Outbox   *outbox.Outbox
	Factors  *factors.Store
	Issuer   bridge.ServerURL // the cloud's own URL, for the links
}

// Store owns changes of address. Its methods are safe for concurrent use.
type Store struct {
	db       *schema.DB
	accounts *accounts.Store
	sessions *accounts.Sessions
	outbox   *outbox.Outbox
	factors  *factors.Store
	issuer   bridge.ServerURL
	log      *slog.Logger
}

// New returns the store.
func New(cfg Config, log *slog.Logger) *Store {
	return &Store{db: cfg.DB, accounts: cfg.Accounts, sessions: cfg.Sessions, outbox: cfg.Outbox, factors: cfg.Factors, issuer: cfg.Issuer,
		log: log}
}

// Voiders are the kinds of credential kept here; see [accounts.Voider].
func (st *Store) Voiders() []accounts.Voider {
	return []accounts.Voider{{Kind: "changes of the address", Tables: []string{"address_changes"}, Void: st.void}}
}

// void ends a pending change, even when only a membership ends.
func (st *Store) void(ctx context.Context, tx *sql.Tx, h accounts.Handover) error {
	return st.End(ctx, tx, h.User.ID)
}

// End makes an account's pending change void.
func (st *Store) End(ctx context.Context, tx *sql.Tx, userID string) error {
	_, err := tx.ExecContext(ctx, "UPDATE address_changes SET ended_at = $1 WHERE user_id = $2 AND ended_at = 0",
		st.db.Now().Unix(), userID)
	return sqldb.Wrap("end a change of an address", err)
}

// Purge deletes the changes that were over before a time.
func (st *Store) Purge(ctx context.Context, before time.Time) error {
	return st.db.DeleteBefore(ctx, before, "DELETE FROM address_changes WHERE expires_at < $1")
}
