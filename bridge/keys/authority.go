// Package keys is the key authority: the rules and the rows of API keys, used by a server for its own keys and by a
// cloud for its own. It issues, lists, verifies and revokes them; it never stores a secret, only its hash and the public
// key that is derived from it, and every change is one transaction together with its audit entry.
package keys

import (
	"context"
	"database/sql"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/sqldb"
)

//go:embed migrations/*.sql
var files embed.FS

// Config is what an authority must know.
type Config struct {
	Servers   []bridge.ServerURL // the audiences that derived access tokens may name
	Catalogue catalogue.Catalogue
	Now       func() time.Time // nil: time.Now
}

// Authority issues and verifies keys. Its methods are safe for concurrent use; [Authority.Run] has to run beside them.
type Authority struct {
	db  *sqldb.DB
	cfg Config
	log *slog.Logger
	use *usage
}

// New brings the tables up to date and returns an authority over them.
func New(ctx context.Context, db *sqldb.DB, cfg Config, log *slog.Logger) (*Authority, error) {
	fsys, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if err := db.Migrate(ctx, "keys", fsys); err != nil {
		return nil, err
	}
	if err := audit.Migrate(ctx, db); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Authority{db: db, cfg: cfg, log: log, use: newUsage()}, nil
}

// Exchange ties a new key to the connect token it was exchanged for.
type Exchange struct {
	Issuer  bridge.ServerURL
	JTI     string
	Expires time.Time // of the token: its jti is remembered until then
}

// NewKey says what key to create.
type NewKey struct {
	Kind        bridge.KeyKind
	Name        string
	Description string
	Org         string
	Owner       string
	CreatedBy   string
	Scopes      bridge.Scopes
	ExpiresAt   time.Time // zero: never
	// Exchange, when set, uses up the connect token in the key's own transaction and lets the key die unless it is
	// used within bridge.UnconfirmedLife.
	Exchange *Exchange
}

const (
	maxName        = 100
	maxDescription = 500
)

func (n NewKey) check(now time.Time) error {
	switch {
	case !n.Kind.Valid():
		return bridge.E(bridge.Invalid, "key_kind", "%q is not a kind of API key", n.Kind)
	case n.Name == "" || !bridge.PlainText(n.Name, maxName):
		return bridge.E(bridge.Invalid, "key_name", "a key needs a name of at most %d bytes of plain text", maxName)
	case !bridge.PlainText(n.Description, maxDescription):
		return bridge.E(bridge.Invalid, "key_description", "the description is not at most %d bytes of plain text", maxDescription)
	case len(n.Scopes) == 0:
		return bridge.E(bridge.Forbidden, "key_scopes", "the key would have no scopes at all")
	case !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(now):
		return bridge.E(bridge.Invalid, "key_expiry", "the key would be expired already")
	}
	return nil
}

// Create issues a key. The returned key is the only place where its secret ever stands.
func (a *Authority) Create(ctx context.Context, actor audit.Actor, n NewKey) (bridge.Key, Record, error) {
	now := a.cfg.Now()
	if err := n.check(now); err != nil {
		return bridge.Key{}, Record{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return bridge.Key{}, Record{}, fmt.Errorf("create a key: %w", err)
	}
	key := bridge.NewKey(n.Kind, id)
	r := Record{
		ID: id, Kind: n.Kind, Prefix: key.Prefix(), Name: n.Name, Description: n.Description, Org: n.Org,
		Owner: n.Owner, CreatedBy: n.CreatedBy, Scopes: n.Scopes, CreatedAt: now, ExpiresAt: n.ExpiresAt,
	}
	action := "key.create"
	if n.Exchange != nil {
		r.ConfirmBy = now.Add(bridge.UnconfirmedLife)
		action = "key.exchange"
	}
	err = a.db.Tx(ctx, func(tx *sql.Tx) error {
		if n.Exchange != nil {
			if err := useUp(ctx, tx, *n.Exchange); err != nil {
				return err
			}
		}
		if err := insert(ctx, tx, r, key); err != nil {
			return err
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: action, Target: "key:" + id.String(),
			Details: map[string]string{"name": n.Name, "scopes": n.Scopes.String(), "owner": n.Owner}})
	})
	if err != nil {
		return bridge.Key{}, Record{}, err
	}
	return key, r, nil
}

// useUp records a connect token's jti; the primary key lets one of several attempts win.
func useUp(ctx context.Context, tx *sql.Tx, x Exchange) error {
	fresh, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO used_tokens (issuer, jti, expires_at)
		VALUES ($1, $2, $3) ON CONFLICT (issuer, jti) DO NOTHING`, string(x.Issuer), x.JTI, x.Expires.Unix()))
	if err != nil {
		return fmt.Errorf("use up the connect token: %w", err)
	}
	if !fresh {
		return bridge.E(bridge.Unauthenticated, "connect_token_used", "this connect token has been used already").
			WithHint("run the connect again: it takes a new token")
	}
	return nil
}

func insert(ctx context.Context, tx *sql.Tx, r Record, key bridge.Key) error {
	hash := key.Hash()
	_, err := tx.ExecContext(ctx, `INSERT INTO api_keys
		(id, kind, prefix, hash, public_key, org, name, description, owner, created_by, scopes, created_at, expires_at,
		 confirm_by, ended_at, ended_by, end_reason, used_at, used_from, used_agent)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, '', '', 0, '', '')`,
		r.ID.String(), string(r.Kind), r.Prefix, hex.EncodeToString(hash[:]),
		base64.RawURLEncoding.EncodeToString(key.PublicKey()), r.Org, r.Name, r.Description, r.Owner, r.CreatedBy,
		r.Scopes.String(), r.CreatedAt.Unix(), unix(r.ExpiresAt), unix(r.ConfirmBy))
	if err != nil {
		return fmt.Errorf("store the key: %w", err)
	}
	return nil
}

// Revoke ends a key for ever. Revoking a key that is dead already succeeds and leaves why it died as it is.
func (a *Authority) Revoke(ctx context.Context, actor audit.Actor, org string, id uuid.UUID, reason string) (Record, error) {
	if _, err := a.Get(ctx, org, id); err != nil {
		return Record{}, err
	}
	return a.revoke(ctx, actor, id, reason)
}

// RevokeSigned ends the key that a revocation names. The statement is signed with the key itself, so that no other
// credential is asked for.
func (a *Authority) RevokeSigned(ctx context.Context, actor audit.Actor, token bridge.Secret) (Record, error) {
	id, err := bridge.TokenKeyID(token)
	if err != nil {
		return Record{}, err
	}
	row, err := a.load(ctx, id)
	if err != nil {
		return Record{}, err
	}
	statement, err := bridge.VerifyRevocation(token, row.public)
	if err != nil {
		return Record{}, err
	}
	actor.ID, actor.Org = "user:"+statement.Subject, row.Org
	return a.revoke(ctx, actor, id, statement.Reason)
}

func (a *Authority) revoke(ctx context.Context, actor audit.Actor, id uuid.UUID, reason string) (Record, error) {
	now := a.cfg.Now()
	if !bridge.PlainText(reason, maxDescription) {
		return Record{}, bridge.E(bridge.Invalid, "key_reason", "the reason is not at most %d bytes of plain text", maxDescription)
	}
	err := a.db.Tx(ctx, func(tx *sql.Tx) error {
		ended, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE api_keys SET ended_at = $1, ended_by = $2, end_reason = $3
			WHERE id = $4 AND ended_at = 0`, now.Unix(), actor.ID, reason, id.String()))
		if err != nil {
			return fmt.Errorf("revoke the key: %w", err)
		}
		if !ended {
			return nil
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "key.revoke", Target: "key:" + id.String(),
			Details: map[string]string{"reason": reason}})
	})
	if err != nil {
		return Record{}, err
	}
	row, err := a.load(ctx, id)
	return row.Record, err
}
