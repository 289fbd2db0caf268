package sqldb

import (
	"fmt"

	"github.com/gofrs/flock"

	"github.com/acebridge/ace/bridge"
)

// Own makes this the only process that caches a SQLite file's contents, until the database is closed.
//
// A second process fails with [bridge.CodeDatabaseInUse]. PostgreSQL is shared, so there Own does nothing.
func (db *DB) Own() error {
	if db.Dialect != SQLite || db.file == ":memory:" || db.owned != nil {
		return nil
	}
	owner := flock.New(db.file + ".owner")
	locked, err := owner.TryLock()
	if err != nil {
		return fmt.Errorf("lock the database: %w", err)
	}
	if !locked {
		return bridge.E(bridge.Unavailable, bridge.CodeDatabaseInUse, "another process uses the database %s", db.file).
			WithHint("stop it, or set ACE_DATABASE_URL to postgres://… where several processes are to share keys")
	}
	db.owned = owner
	return nil
}

// Close closes the database and releases what [DB.Own] claimed.
func (db *DB) Close() error {
	err := db.DB.Close()
	if db.owned != nil {
		_ = db.owned.Close()
		db.owned = nil
	}
	return err
}
