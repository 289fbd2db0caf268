// Package providers owns the sign-in providers of organizations (OpenID Connect) and the sign-ins through them.
//
// A provider vouches for people whose addresses are in the organization's proven domains:
//
//	domain:   entered ──► proven by a TXT record ──► vouched for
//	sign-in:  begun ──► at the provider, 10 min at most ──► taken once ──► session in that organization only
//	subject:  unknown ──► linked to the account of its address, or a new one ──► known, follows a new address
//
// An organization may require its provider: then members who came through it can no longer sign in with a password. If
// the provider is removed, or its issuer or client changes, its links to people and all sessions that it opened end.
//
// The protocol itself (redirects, tokens, keys) is in cloud/sso.
package providers

import (
	"context"
	"log/slog"
	"time"

	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/joining"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/vault"
)

// Config holds everything that the store may use. Every field is required.
type Config struct {
	DB        *schema.DB
	Accounts  *accounts.Store
	Sessions  *accounts.Sessions
	Joining   *joining.Store
	Addresses *addresses.Store
	Vault     *vault.Vault // seals client secrets
}

// Store owns providers and the sign-ins through them. Its methods are safe for concurrent use.
type Store struct {
	db        *schema.DB
	accounts  *accounts.Store
	sessions  *accounts.Sessions
	joining   *joining.Store
	addresses *addresses.Store
	vault     *vault.Vault
	log       *slog.Logger
}

// New returns the store.
func New(cfg Config, log *slog.Logger) *Store {
	return &Store{db: cfg.DB, accounts: cfg.Accounts, sessions: cfg.Sessions, joining: cfg.Joining, addresses: cfg.Addresses,
		vault: cfg.Vault, log: log}
}

// Purge deletes the sign-ins that were over before a time.
func (st *Store) Purge(ctx context.Context, before time.Time) error {
	return st.db.DeleteBefore(ctx, before, "DELETE FROM provider_logins WHERE expires_at < $1")
}
