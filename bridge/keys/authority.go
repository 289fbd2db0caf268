package keys

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/keys/statements"
	"github.com/acebridge/ace/bridge/keys/table"
	"github.com/acebridge/ace/bridge/keys/timeline"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
)

//go:embed migrations/*.sql
var files embed.FS

// Config configures an [Authority].
type Config struct {
	Servers   []bridge.ServerURL // audiences that derived access tokens may name
	Catalogue catalogue.Catalogue
	// Pepper is mixed into the secret of a retryable rotation, so that neither the database nor the idempotency key is
	// enough to derive it. Zero will do if idempotency keys are random.
	Pepper bridge.Secret
	// Personal: people have personal access tokens, and only admins create the organization's keys.
	Personal bool
	Now      func() time.Time // nil: time.Now
	Mark     *mark.File       // keeps the change number outside the database; nil: nothing does
}

// Authority issues and verifies keys. It is safe for concurrent use.
//
// [Authority.Run] must run as long as it is used, or the table in memory falls behind the database.
type Authority struct {
	table.Reader // answers from memory
	Stored       // answers from the database

	db    *sqldb.DB
	cfg   Config
	log   *slog.Logger
	line  *timeline.Line
	table *table.Table
	use   *usage
	pace  *statements.Pace
}

func newAuthority(db *sqldb.DB, line *timeline.Line, cfg Config, log *slog.Logger) *Authority {
	a := &Authority{db: db, cfg: cfg, log: log, line: line, use: newUsage(), Stored: Stored{db, line.Now, cfg.Personal}}
	a.table = table.New(table.Config{DB: db, Line: line, Servers: cfg.Servers, Catalogue: cfg.Catalogue, Confirm: a.confirm}, log)
	a.Reader = a.table.Reader()
	return a
}

// Numbered runs a rule on other tables of the authority's database; see [timeline.Line.Numbered].
func (a *Authority) Numbered(ctx context.Context, rule timeline.Rule) error {
	return a.line.Numbered(ctx, rule)
}

// Migrate brings the tables of keys and of the audit log up to date.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	fsys, err := fs.Sub(files, "migrations")
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := db.Migrate(ctx, "keys", fsys); err != nil {
		return err
	}
	return audit.Migrate(ctx, db)
}

// New migrates the database, loads all keys and returns an authority over them.
//
// It fails with [bridge.CodeDatabaseBehind] if the database has lost changes, and with [bridge.CodeDatabaseInUse] if another
// process owns it.
func New(ctx context.Context, db *sqldb.DB, cfg Config, log *slog.Logger) (*Authority, error) {
	if err := db.Own(); err != nil {
		return nil, err
	}
	if err := Migrate(ctx, db); err != nil {
		return nil, err
	}
	line := timeline.New(timeline.Config{DB: db, Mark: cfg.Mark, Now: cfg.Now}, log)
	a := newAuthority(db, line, cfg, log)
	var err error
	if a.pace, err = statements.NewPace(line.Now); err != nil {
		return nil, err
	}
	if err := a.table.Load(ctx); err != nil {
		return nil, err
	}
	if err := line.Lost(); err != nil {
		return nil, err
	}
	if err := a.table.StoreTime(ctx); err != nil {
		return nil, err
	}
	if err := (adoption{a}).run(ctx); err != nil {
		return nil, err
	}
	return a, adoption{a}.listDoubted(ctx)
}

// API returns a key in wire form with its current status, which takes its ancestors into account.
func (a *Authority) API(r record.Record) api.APIKey {
	now := a.line.Now()
	k := r.API(now)
	if k.Status == record.StatusActive || k.Status == record.StatusUnconfirmed {
		if k.StatusCause = a.table.Blocked(r.Lineage, now.Unix()); k.StatusCause != nil {
			k.Status = "parent_" + k.StatusCause.Status
		}
	}
	return k
}
