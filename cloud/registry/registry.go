// Package registry builds the stores of a cloud over one database, and connects them.
//
//	preview · joins                          what a change would end · join tokens and link keys
//	   │        providers · signup           through an organization's provider · new accounts
//	   │              │
//	   │           signin                    passwords and mailed links
//	   │         addresses                   changes of address
//	   ▼       factors · joining             second factors · becoming a member
//	connections     │
//	   └──────► accounts                     people, organizations, members, sessions
//	         outbox · lockout                mail that waits · waits after wrong tries
//	         vault · schema                  ciphertexts · tables and transactions
//
// A store calls only stores below it. What a lower store needs from a higher one (an account changes hands, and its connections
// go) is a function in [accounts.Hooks], which this package fills in. The package has no rules of its own, but for the two that
// concern the rows of all stores: [SettleRestored] and [CutExpiries].
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/timeline"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/joining"
	"github.com/acebridge/ace/cloud/joins"
	"github.com/acebridge/ace/cloud/lockout"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/preview"
	"github.com/acebridge/ace/cloud/providers"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/tokens"
	"github.com/acebridge/ace/cloud/upkeep"
	"github.com/acebridge/ace/cloud/vault"
)

// Config is the configuration of the stores.
type Config struct {
	Issuer   bridge.ServerURL // the cloud's own URL
	Vault    *vault.Vault     // seals secrets in rows
	Root     bridge.SigningRoot
	Password passwords.Cost   // zero: the default cost
	Mail     bool             // the cloud delivers what [outbox.Outbox.DueMail] returns
	Mark     mark.Place       // the file of the change number, unless [Registry.UseKeys] is called; zero: none
	Now      func() time.Time // nil: time.Now
}

// Registry holds the stores of a cloud. They are safe for concurrent use.
type Registry struct {
	DB          *schema.DB
	Vault       *vault.Keeper
	Outbox      *outbox.Outbox
	Accounts    *accounts.Store
	Sessions    *accounts.Sessions
	Lockout     *lockout.Store
	Factors     *factors.Store
	Joining     *joining.Store
	Addresses   *addresses.Store
	SignIn      *signin.Store
	Passwords   *signin.Passwords
	Links       *signin.Links
	SignUp      *signup.Store
	Providers   *providers.Store
	Connections *connections.Store
	Feed        *connections.Feed
	History     *connections.History
	Joins       *joins.Store
	Tokens      *tokens.Tokens
	Upkeep      *upkeep.Upkeep
	Preview     *preview.Preview
}

// New brings the tables up to date and returns the stores over them.
func New(ctx context.Context, db *sqldb.DB, cfg Config, log *slog.Logger) (*Registry, error) {
	rows, err := schema.New(ctx, db, schema.Config{Mark: cfg.Mark, Now: cfg.Now}, log)
	if err != nil {
		return nil, err
	}
	r := &Registry{DB: rows, Vault: vault.NewKeeper(rows, cfg.Vault, cfg.Root, log)}
	r.Outbox = outbox.New(outbox.Config{DB: rows, Vault: cfg.Vault, Issuer: cfg.Issuer, Mail: cfg.Mail}, log)
	r.Accounts, r.Sessions = accounts.New(accounts.Config{DB: rows, Outbox: r.Outbox, Issuer: cfg.Issuer, Root: cfg.Root}, log)
	hasher, err := passwords.New(cfg.Password)
	if err != nil {
		return nil, err
	}
	r.newSignIn(cfg, hasher, log)
	signals := connections.NewSignals()
	r.Connections, r.Feed, r.History = connections.New(connections.Config{DB: rows, Accounts: r.Accounts, Vault: cfg.Vault,
		Issuer: cfg.Issuer, Root: cfg.Root, Signals: signals}, log)
	r.Joins = joins.New(joins.Config{DB: rows, Joined: connections.NewJoined(r.Connections), Feed: r.Feed, Issuer: cfg.Issuer, Root: cfg.Root})
	r.Tokens, err = tokens.New(tokens.Config{DB: rows, Connections: r.Connections, Signals: signals})
	if err != nil {
		return nil, err
	}
	r.Upkeep = upkeep.New(upkeep.Config{DB: rows, Connections: r.Connections, Feed: r.Feed, Signals: signals, Tokens: r.Tokens, Vault: cfg.Vault}, log)
	r.Preview = preview.New(preview.Config{DB: rows, Accounts: r.Accounts, Connections: r.Connections, Tokens: r.Tokens})
	r.Accounts.UseHooks(accounts.Hooks{
		Voiders:            slices.Concat(r.Accounts.OwnVoiders(), r.SignIn.Voiders(), r.Addresses.Voiders(), r.Factors.Voiders(), r.Joins.Voiders(), r.Tokens.Voiders(), r.Connections.Voiders()),
		RightsChanged:      r.Feed.RightsChanged,
		Left:               r.Connections.Left,
		PrivateConnections: r.Connections.PrivateConnections,
		SecondFactors:      r.Factors.SecondFactors,
	})
	return r, nil
}

// newSignIn builds the stores of signing in and signing up.
func (r *Registry) newSignIn(cfg Config, hasher *passwords.Hasher, log *slog.Logger) {
	r.Lockout = lockout.New(r.DB)
	r.Factors = factors.New(factors.Config{DB: r.DB, Accounts: r.Accounts, Outbox: r.Outbox, Vault: cfg.Vault, Lockout: r.Lockout,
		Hasher: hasher, Issuer: cfg.Issuer})
	r.Joining = joining.New(joining.Config{DB: r.DB, Accounts: r.Accounts, Sessions: r.Sessions})
	r.Addresses = addresses.New(addresses.Config{DB: r.DB, Accounts: r.Accounts, Sessions: r.Sessions, Outbox: r.Outbox, Factors: r.Factors,
		Issuer: cfg.Issuer}, log)
	r.SignIn, r.Passwords, r.Links = signin.New(signin.Config{DB: r.DB, Accounts: r.Accounts, Sessions: r.Sessions, Outbox: r.Outbox,
		Joining: r.Joining, Factors: r.Factors, Addresses: r.Addresses, Lockout: r.Lockout, Hasher: hasher, Issuer: cfg.Issuer})
	r.SignUp = signup.New(signup.Config{DB: r.DB, Accounts: r.Accounts, Sessions: r.Sessions, Outbox: r.Outbox, Joining: r.Joining,
		Links: r.Links, Hasher: hasher, Issuer: cfg.Issuer}, log)
	r.Providers = providers.New(providers.Config{DB: r.DB, Accounts: r.Accounts, Sessions: r.Sessions, Joining: r.Joining,
		Addresses: r.Addresses, Vault: cfg.Vault}, log)
}

// Keys are the cloud's own API keys; see [keys.Authority].
type Keys interface {
	accounts.Keys
	Numbered(ctx context.Context, rule timeline.Rule) error
}

// UseKeys connects the cloud's own API keys. Without them, personal access tokens still end with the membership that they are
// bound to, but are not marked as revoked.
func (r *Registry) UseKeys(k Keys) {
	r.DB.NumberWith(k)
	r.Accounts.UseKeys(k)
	r.Preview.UseKeys(k)
}

// Purge deletes rows that have been over for a day, and the history of connections that is older than 30 days.
func (r *Registry) Purge(ctx context.Context) error {
	before := r.DB.Now().Add(-24 * time.Hour)
	var errs []error
	for _, purge := range []func(context.Context, time.Time) error{r.Accounts.Purge, r.Lockout.Purge, r.Factors.Purge, r.Addresses.Purge,
		r.SignIn.Purge, r.SignUp.Purge, r.Providers.Purge, r.Outbox.Purge, r.Connections.Purge, r.Joins.Purge, r.Tokens.Purge} {
		errs = append(errs, purge(ctx, before))
	}
	errs = append(errs, r.History.DropOld(ctx))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return nil
}
