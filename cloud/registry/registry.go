// Package registry owns the rules and rows of a cloud: people and organizations, their sessions and device logins, and
// the connections with their encrypted keys. Every rule is one transaction, together with its audit entry; a key leaves
// the registry only as a derived access token, or, of a manual connection to a server of another kind, to its owner and
// through the relay to its server.
package registry

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/timeline"
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

	keys Keys // of the cloud itself; nil: see [Registry.UseKeys]
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
	return r, r.bringToOneForm(ctx)
}

// Purge deletes what has been over for a day: sessions, refresh tokens, device logins, links, mail, failed sign-ins,
// invitations and delivered revocations; and the history of connections that is older than 30 days.
func (r *Registry) Purge(ctx context.Context) error {
	before := r.cfg.Now().Add(-24 * time.Hour).Unix()
	for _, statement := range []string{
		"DELETE FROM devices WHERE expires_at < $1",
		"DELETE FROM codes WHERE expires_at < $1",
		"DELETE FROM provider_logins WHERE expires_at < $1",
		"DELETE FROM refresh_tokens WHERE expires_at < $1",
		"DELETE FROM sessions WHERE expires_at < $1 AND NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE session_id = sessions.id)",
		"DELETE FROM revocations WHERE expires_at < $1",
		"DELETE FROM mail_tokens WHERE expires_at < $1",
		"DELETE FROM address_changes WHERE expires_at < $1",
		"DELETE FROM first_links WHERE expires_at < $1",
		"DELETE FROM outbox WHERE expires_at < $1",
		"DELETE FROM pending_logins WHERE expires_at < $1",
		"DELETE FROM unproven_sessions WHERE expires_at < $1",
		"DELETE FROM totp WHERE confirmed_at = 0 AND created_at < $1",
		"DELETE FROM login_failures WHERE last_at < $1",
		"DELETE FROM known_devices WHERE expires_at < $1",
		"DELETE FROM invitations WHERE expires_at < $1",
		"DELETE FROM relay_uses WHERE noted_at < $1",
		`DELETE FROM handed_tokens WHERE expires_at < $1 AND NOT makes_keys
			AND NOT (made_keys AND connection_id IN (SELECT c.id FROM connections c WHERE c.secret <> ''))`,
		"DELETE FROM access_changes WHERE changed_at < $1",
	} {
		if _, err := r.db.ExecContext(ctx, statement, before); err != nil {
			return fmt.Errorf("purge: %w", err)
		}
	}
	return r.purgeHistory(ctx)
}

// tx runs a transaction that takes something away, or may: a session, a role, a single-use token. It gets a change number, stored
// outside the database before tx returns, so that an old backup is noticed when it is restored. Transactions that only give, note
// or count use the database directly; a test lists each with its reason.
func (r *Registry) tx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return r.numbered(ctx, func(tx *sql.Tx) (bool, error) { return true, fn(tx) })
}

// numbered is tx for a rule that reports whether it took something away.
func (r *Registry) numbered(ctx context.Context, rule timeline.Rule) error {
	if r.keys != nil {
		return r.keys.Numbered(ctx, rule)
	}
	return timeline.Numbered(ctx, r.db, r.cfg.Mark, r.log, rule)
}

func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an ID: %w", err)
	}
	return id.String(), nil
}

// hashed is what is stored of a random token of 256 bits.
func hashed(token bridge.Secret) string {
	sum := sha256.Sum256([]byte(token.Reveal()))
	return hex.EncodeToString(sum[:])
}

func at(unix int64) *time.Time {
	if unix == 0 {
		return nil
	}
	t := time.Unix(unix, 0).UTC()
	return &t
}
