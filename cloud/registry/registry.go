// Package registry owns the rules and rows of a cloud: people and organizations, their sessions and device logins, and
// the connections with their encrypted keys. Every rule is one transaction, together with its audit entry; a key leaves
// the registry only as a derived access token, or, of a manual connection to a server of another kind, to its owner and
// through the relay to its server.
package registry

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
)

//go:embed migrations/*.sql
var files embed.FS

// Config is what a registry must know.
type Config struct {
	Issuer   bridge.ServerURL // the cloud's own URL
	Vault    *Vault
	Root     bridge.SigningRoot
	Password PasswordCost     // zero: the default cost
	Mail     bool             // somebody delivers what [Registry.DueMail] gives
	Mark     mark.Place       // of the change number, where [Registry.UseKeys] gives no keys; zero: none is kept
	Now      func() time.Time // nil: time.Now
}

// Registry is the rules of a cloud over its database. Its methods are safe for concurrent use.
type Registry struct {
	db     *sqldb.DB
	cfg    Config
	log    *slog.Logger
	hasher *hasher

	remembered         remembered
	mailQueued         chan struct{}
	connectionsChanged chan struct{}
	revocationsDue     chan struct{}
	withdrawalsDue     chan struct{}

	keys  Keys // of the cloud itself; nil: see [Registry.UseKeys]
	above above
}

// Migrate brings the tables of a cloud up to date: the registry's, those of its own keys, and the audit log.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	fsys, err := fs.Sub(files, "migrations")
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	if err := db.Migrate(ctx, "registry", fsys); err != nil {
		return err
	}
	return keys.Migrate(ctx, db)
}

// New brings the tables up to date and returns a registry over them.
func New(ctx context.Context, db *sqldb.DB, cfg Config, log *slog.Logger) (*Registry, error) {
	if err := Migrate(ctx, db); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	hasher, err := newHasher(cfg.Password)
	if err != nil {
		return nil, err
	}
	remembered, err := newRemembered()
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	r := &Registry{db: db, cfg: cfg, log: log, hasher: hasher, remembered: remembered, mailQueued: make(chan struct{}, 1),
		revocationsDue: make(chan struct{}, 1), connectionsChanged: make(chan struct{}, 1), withdrawalsDue: make(chan struct{}, 1)}
	r.above = above{voiders: slices.Concat(r.accountVoiders(), r.signinVoiders(), r.connectionVoiders()), rightsChanged: r.rightsChanged,
		left: r.left, privateConnections: r.privateConnections, writeLink: r.writeLink}
	return r, r.bringToOneForm(ctx)
}
