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

// Config is what an authority must know.
type Config struct {
	Servers   []bridge.ServerURL // the audiences that derived access tokens may name
	Catalogue catalogue.Catalogue
	// Pepper goes into the secret of a rotation that can be retried, so that neither the database nor an idempotency key
	// suffices to find it. Zero will do where idempotency keys are random.
	Pepper bridge.Secret
	// Personal: people have personal access tokens, and a key of the organization takes an admin.
	Personal bool
	Now      func() time.Time // nil: time.Now
	Mark     *mark.File       // the change number outside the database; nil: none is kept
}

// Authority issues and verifies keys. Its methods are safe for concurrent use; [Authority.Run] has to run beside them.
type Authority struct {
	table.Reader // what is known in memory
	Stored       // what is read from the database

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

// Numbered runs a rule on other tables of the authority's database; see [Line.Numbered].
func (a *Authority) Numbered(ctx context.Context, rule timeline.Rule) error {
	return a.line.Numbered(ctx, rule)
}

// Migrate brings the tables of keys and their audit log up to date.
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

// New brings the tables up to date, loads all keys and returns an authority over them.
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

// API is a key in its wire form with its current status: with an inactive parent it is not active either.
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
