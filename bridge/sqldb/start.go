package sqldb

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
)

//go:embed migrations/*.sql
var files embed.FS

// Start says what to open, and what it must be.
type Start struct {
	URL  string
	Role string // "server" or "cloud"
	Dir  string // the data directory, which records which database was used before; empty: nothing is recorded or compared
	New  bool   // the operator says that another database, or an empty one, is intended
}

// checkTime bounds the check of a SQLite file at start.
const checkTime = 30 * time.Second

// OpenChecked opens a database and refuses it if it is damaged or not the expected one.
//
// The data directory records which database was used before; one that is missing, empty or different is refused unless
// [Start.New] is set.
func OpenChecked(ctx context.Context, start Start, log *slog.Logger) (*DB, error) {
	var known State
	if start.Dir != "" {
		var err error
		if known, err = ReadState(StateFile(start.Dir, start.Role)); err != nil && !start.New {
			return nil, err
		}
	}
	if known.DatabaseID != "" && !start.New && lacksFile(start.URL) {
		return nil, start.missing(start.URL)
	}
	db, err := Open(ctx, start.URL)
	if err != nil {
		return nil, err
	}
	if err := db.begin(ctx, start, known, log); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// lacksFile reports whether the file of a SQLite database is missing or empty.
func lacksFile(dsn string) bool {
	path, sqlite := strings.CutPrefix(dsn, "sqlite:")
	if !sqlite || path == ":memory:" {
		return false
	}
	info, err := os.Stat(strings.TrimPrefix(path, "//"))
	return errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
}

func (s Start) missing(what string) error {
	if !strings.HasPrefix(what, "sqlite:") {
		what = "in ACE_DATABASE_URL"
	}
	return bridge.E(bridge.Unavailable, bridge.CodeDatabaseMissing,
		"the database %s is missing or empty, and %s shows that it was used before", strings.TrimPrefix(what, "sqlite:"), StateFile(s.Dir, s.Role)).
		WithHint("restore a backup of it; if an empty database is meant: ace %s --new-database", s.Role)
}

// errOfCloud refuses a cloud's database on a server, which would take the cloud's API keys for its own.
var errOfCloud = bridge.E(bridge.Unavailable, bridge.CodeDatabaseOfCloud,
	"the database is a cloud's, and a server needs one of its own").
	WithHint("name another database in ACE_DATABASE_URL")

// begin checks a database that was opened at start, and gives it an ID if it has none.
func (db *DB) begin(ctx context.Context, start Start, known State, log *slog.Logger) error {
	if err := db.check(ctx, log); err != nil {
		return err
	}
	if start.Role == "server" {
		if clouds, err := db.hasTable(ctx, "schema_registry"); err != nil {
			return err
		} else if clouds {
			return errOfCloud
		}
	}
	id, err := db.ID(ctx)
	if err != nil {
		return err
	}
	if known.DatabaseID != "" && known.DatabaseID != id && !start.New {
		if id == "" {
			if empty, err := db.empty(ctx); err != nil {
				return err
			} else if empty {
				return start.missing(start.URL)
			}
		}
		return bridge.E(bridge.Unavailable, bridge.CodeDatabaseOther,
			"the database is not the one that %s shows to have been used before",
			StateFile(start.Dir, start.Role)).
			WithHint("check ACE_DATABASE_URL, or restore a backup; if this database is meant: ace %s --new-database", start.Role)
	}
	if id, err = db.identify(ctx); err != nil {
		return err
	}
	if start.Dir == "" || known.DatabaseID == id {
		return nil
	}
	if known.DatabaseID != "" {
		db.replaced = known.DatabaseID
		log.Warn("another database is used than before, because --new-database says so", "before", known.DatabaseID, "now", id)
	}
	if err := (State{DatabaseID: id}).Write(StateFile(start.Dir, start.Role)); err != nil {
		log.Warn("a database that gets lost will not be noticed: the data directory cannot be written", "error", err)
	}
	return nil
}

// Replaced returns the ID of the database that the operator replaced by this one, or "".
func (db *DB) Replaced() string { return db.replaced }

// check checks a whole SQLite file for damage, unless that takes longer than [checkTime].
func (db *DB) check(ctx context.Context, log *slog.Logger) error {
	if db.Dialect != SQLite {
		return nil
	}
	begun := time.Now()
	limited, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	var found string
	err := db.QueryRowContext(limited, "PRAGMA quick_check(1)").Scan(&found)
	took := time.Since(begun).Round(time.Millisecond)
	switch {
	case err != nil && ctx.Err() == nil && limited.Err() != nil:
		log.Warn("the database was not checked to its end, which takes too long", "took", took)
		return nil
	case err != nil:
		return fmt.Errorf("check the database: %w", err)
	case found != "ok":
		return errDamaged.Because(errors.New(found))
	}
	log.Info("the database was checked", "took", took)
	return nil
}

const factID, factProbe = "id", "probe"

// ID returns the random ID that a database gets when it is first used, or "" if it has none yet.
func (db *DB) ID(ctx context.Context) (string, error) {
	has, err := db.hasTable(ctx, "database_facts")
	if err != nil || !has {
		return "", err
	}
	var id string
	err = db.QueryRowContext(ctx, "SELECT value FROM database_facts WHERE name = $1", factID).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read the database's ID: %w", err)
	}
	return id, nil
}

// identify gives a database its ID if it has none.
func (db *DB) identify(ctx context.Context) (string, error) {
	fsys, err := fs.Sub(files, "migrations")
	if err != nil {
		return "", fmt.Errorf("sqldb: %w", err)
	}
	if err := db.Migrate(ctx, "database", fsys); err != nil {
		return "", err
	}
	_, err = db.ExecContext(ctx, "INSERT INTO database_facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
		factID, bridge.NewTokenID())
	if err != nil {
		return "", fmt.Errorf("give the database an ID: %w", err)
	}
	return db.ID(ctx)
}

func (db *DB) hasTable(ctx context.Context, name string) (bool, error) {
	return db.has(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1",
		"SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass($1)", name)
}

// empty reports whether a database has none of our tables.
func (db *DB) empty(ctx context.Context) (bool, error) {
	some, err := db.has(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name LIKE 'schema\\_%' ESCAPE '\\'",
		"SELECT COUNT(*) FROM pg_tables WHERE schemaname = ANY(current_schemas(false)) AND tablename LIKE 'schema\\_%'")
	return !some, err
}

func (db *DB) has(ctx context.Context, sqlite, postgres string, args ...any) (bool, error) {
	query := sqlite
	if db.Dialect == Postgres {
		query = postgres
	}
	var n int
	if err := db.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return false, fmt.Errorf("look at the database's tables: %w", err)
	}
	return n > 0, nil
}
