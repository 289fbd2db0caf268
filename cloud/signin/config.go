// Package signin owns the rules and rows of proving who one is.
//
// There are passwords, second factors, recovery codes, mailed links, and the sign-in providers of organizations. Each wrong
// try is charged to a lane, of the account and of the client's address, which locks after too many.
//
//	password ──► second factor, if on ──► session
//	provider ──► identity token ─────────► session, which counts for that organization only
//	mailed link: due ──► sent ──► used once | expired
//	second factor: enrolled ──► confirmed by a code ──► on ──► off
//
// A check of a password holds only while that is the password: what it was for fails if it has changed meanwhile. The first
// proof of an address hands the account over; see accounts.Handover.
package signin

import (
	"context"
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/vault"
)

// Config is all that the store may touch.
type Config struct {
	DB       *schema.DB
	Accounts *accounts.Store
	Sessions *accounts.Sessions
	Outbox   *outbox.Outbox   // New has it write links with this store
	Vault    *vault.Vault     // seals second factors and the client secrets of providers
	Issuer   bridge.ServerURL // the cloud's own URL, which the links begin with
	Password passwords.Cost   // zero: the default cost
}

// Store owns how people prove who they are: passwords, second factors, recovery codes and mailed links.
type Store struct {
	db       *schema.DB
	accounts *accounts.Store
	sessions *accounts.Sessions
	outbox   *outbox.Outbox
	vault    *vault.Vault
	issuer   bridge.ServerURL
	log      *slog.Logger
	hasher   *passwords.Hasher
	keys     accounts.Keys // of the cloud itself; nil: see [Store.UseKeys]
}

// Providers owns the sign-in providers of organizations and the sign-ins through them.
type Providers struct {
	db       *schema.DB
	accounts *accounts.Store
	sessions *accounts.Sessions
	signin   *Store
	vault    *vault.Vault
	issuer   bridge.ServerURL
	log      *slog.Logger
}

// New returns the store, and that of the providers.
func New(cfg Config, log *slog.Logger) (*Store, *Providers, error) {
	hasher, err := passwords.New(cfg.Password)
	if err != nil {
		return nil, nil, err
	}
	st := &Store{db: cfg.DB, accounts: cfg.Accounts, sessions: cfg.Sessions, outbox: cfg.Outbox, vault: cfg.Vault,
		issuer: cfg.Issuer, log: log, hasher: hasher}
	cfg.Outbox.WriteWith(st.writeLink)
	return st, &Providers{db: cfg.DB, accounts: cfg.Accounts, sessions: cfg.Sessions, signin: st, vault: cfg.Vault,
		issuer: cfg.Issuer, log: log}, nil
}

// UseKeys gives the store the cloud's own API keys, whose owner's name follows a change of the address.
func (st *Store) UseKeys(k accounts.Keys) { st.keys = k }

// Purge deletes the links, sign-ins under way and failures that were over at a time.
func (st *Store) Purge(ctx context.Context, before time.Time) error {
	return st.db.DeleteBefore(ctx, before,
		"DELETE FROM provider_logins WHERE expires_at < $1",
		"DELETE FROM mail_tokens WHERE expires_at < $1",
		"DELETE FROM address_changes WHERE expires_at < $1",
		"DELETE FROM first_links WHERE expires_at < $1",
		"DELETE FROM pending_logins WHERE expires_at < $1",
		"DELETE FROM totp WHERE confirmed_at = 0 AND created_at < $1",
		"DELETE FROM login_failures WHERE last_at < $1",
		"DELETE FROM known_devices WHERE expires_at < $1")
}
