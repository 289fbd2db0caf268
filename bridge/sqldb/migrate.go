package sqldb

import (
	"context"
	"fmt"
	"hash/crc32"
	"io/fs"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/acebridge/ace/bridge"
)

// Migrate brings the tables of one store up to date from its embedded *.sql files.
//
// Each store has its own version table, schema_<name>. A database that a newer version has migrated is refused, because an old
// program does not know what it would break. If several processes start at once, a lock lets one of them do the work: an
// advisory lock on PostgreSQL, a file next to the database on SQLite.
func (db *DB) Migrate(ctx context.Context, name string, fsys fs.FS) error {
	if db.Dialect == SQLite && db.file != ":memory:" {
		guard := flock.New(db.file + ".lock")
		if _, err := guard.TryLockContext(ctx, lockPoll); err != nil {
			return fmt.Errorf("lock the database for migration: %w", err)
		}
		defer func() { _ = guard.Close() }()
	}
	return db.migrate(ctx, name, fsys)
}

const lockPoll = 20 * time.Millisecond

func (db *DB) migrate(ctx context.Context, name string, fsys fs.FS) error {
	dialect := goose.DialectSQLite3
	options := []goose.ProviderOption{goose.WithTableName("schema_" + name), goose.WithDisableGlobalRegistry(true)}
	if db.Dialect == Postgres {
		dialect = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(int64(crc32.ChecksumIEEE([]byte("ace " + name)))))
		if err != nil {
			return fmt.Errorf("migrate %s: %w", name, err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(dialect, db.DB, fsys, options...)
	if err != nil {
		return fmt.Errorf("migrate %s: %w", name, err)
	}
	if _, err := provider.HasPending(ctx); err != nil { // creates the version table, under the lock
		return fmt.Errorf("migrate %s: %w", name, err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("migrate %s: %w", name, err)
	}
	if current > target {
		return bridge.E(bridge.Unavailable, bridge.CodeDatabaseNewer,
			"the database is at version %d of the schema %q, this program knows version %d", current, name, target).
			WithHint("run the version of ace that migrated it, or a newer one")
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", name, err)
	}
	return nil
}
