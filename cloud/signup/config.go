// Package signup creates accounts: by invitation, by the operator, and for a cloud's first person.
//
//	invitation mailed to the address ──► proven account, member, session
//	invitation by another link       ──► unproven account, which waits and is mailed a verification link
//	operator: ace cloud user add     ──► proven account, member
//	first link of a fresh cloud      ──► proven account, owner of a new organization, session
//
// An account that somebody has made with another's address, and never proven, does not stand in the way: the person who proves the
// address takes it over; see [joining.Store.TakeOver]. People who come through a sign-in provider are made by
// cloud/providers.
package signup

import (
	"context"
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/joining"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/signin"
)

// Config holds everything that the store may use. Every field is required.
type Config struct {
	DB       *schema.DB
	Accounts *accounts.Store
	Sessions *accounts.Sessions
	Outbox   *outbox.Outbox
	Joining  *joining.Store
	Links    *signin.Links // mails verification links
	Hasher   *passwords.Hasher
	Issuer   bridge.ServerURL // the cloud's own URL, named in the mail to the first person
}

// Store makes accounts. Its methods are safe for concurrent use.
type Store struct {
	db       *schema.DB
	accounts *accounts.Store
	sessions *accounts.Sessions
	outbox   *outbox.Outbox
	joining  *joining.Store
	links    *signin.Links
	hasher   *passwords.Hasher
	issuer   bridge.ServerURL
	log      *slog.Logger
}

// New returns the store.
func New(cfg Config, log *slog.Logger) *Store {
	return &Store{db: cfg.DB, accounts: cfg.Accounts, sessions: cfg.Sessions, outbox: cfg.Outbox, joining: cfg.Joining, links: cfg.Links,
		hasher: cfg.Hasher, issuer: cfg.Issuer, log: log}
}

// Purge deletes the links for the first person that were over before a time.
func (st *Store) Purge(ctx context.Context, before time.Time) error {
	return st.db.DeleteBefore(ctx, before, "DELETE FROM first_links WHERE expires_at < $1")
}
