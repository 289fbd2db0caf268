package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	txAttempts = 5 // for transactions that PostgreSQL gave up in favour of others
	retryPause = 5 * time.Millisecond
)

// SetPatience sets how long a change waits for a connection and for locks, in total; for tests. The default is 10 s.
func (db *DB) SetPatience(d time.Duration) { db.patience = d }

// Tx runs fn in a transaction and commits it, unless fn fails.
//
// A transaction that the database gave up in favour of another one (SQLITE_BUSY, a deadlock, a serialization failure) is run
// again, so fn must not keep state from an earlier attempt. After waiting 10 s in total for a connection and for locks, Tx fails
// with [bridge.CodeDatabaseBusy] or [bridge.CodeDatabaseTooManyConnections].
func (db *DB) Tx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return db.again(ctx, func(c *sql.Conn) error { return inTx(ctx, c, fn) })
}

// ExecContext runs one statement, waiting for locks like [DB.Tx].
func (db *DB) ExecContext(ctx context.Context, query string, args ...any) (result sql.Result, err error) {
	err = db.again(ctx, func(c *sql.Conn) error {
		result, err = c.ExecContext(ctx, query, args...)
		return err
	})
	return result, err
}

// again runs a change on a connection until it succeeds, fails for good, or has waited long enough.
func (db *DB) again(ctx context.Context, change func(*sql.Conn) error) error {
	until := time.Now().Add(db.patience)
	var lock error // the lock it has waited for
	for attempt := 1; ; attempt++ {
		err := db.once(ctx, until, change)
		locked := isLocked(err)
		if locked {
			lock = err
		} else if lock != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = lock
		}
		if !locked && !givenUp(err) || ctx.Err() != nil {
			return Classify(err)
		}
		if locked && time.Until(until) < min(busyTimeout, db.patience/2) || !locked && attempt == txAttempts {
			return Classify(err)
		}
		if locked { // SQLite sometimes answers at once instead of waiting
			select {
			case <-ctx.Done():
				if errors.Is(ctx.Err(), context.DeadlineExceeded) {
					return Classify(lock)
				}
				return ctx.Err()
			case <-time.After(min(time.Duration(attempt), 20) * retryPause):
			}
		}
	}
}

// once runs a change on one connection, waiting for it until a time.
func (db *DB) once(ctx context.Context, until time.Time, change func(*sql.Conn) error) error {
	waiting, cancel := context.WithDeadline(ctx, until)
	c, err := db.Conn(waiting)
	cancel()
	switch {
	case err != nil && ctx.Err() == nil && err == context.DeadlineExceeded: //nolint:errorlint // returned bare by the pool, never by a driver
		return errPool.Because(err)
	case err != nil:
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { _ = c.Close() }()
	return change(c)
}

// inTx runs fn in a transaction on one connection.
func inTx(ctx context.Context, c *sql.Conn, fn func(tx *sql.Tx) error) error {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return notBegun{err}
	}
	defer func() { _ = tx.Rollback() }() // also after a panic; does nothing after the commit
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// isLocked reports whether SQLite waited for a lock in vain.
func isLocked(err error) bool {
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code()&0xff == sqlite3.SQLITE_BUSY
}

// notBegun is the error of a transaction that did not begin: nothing was done, so it can be retried.
type notBegun struct{ error }

func (e notBegun) Error() string { return "begin: " + e.error.Error() }
func (e notBegun) Unwrap() error { return e.error }

// givenUp reports whether PostgreSQL gave up a transaction in favour of another one, or the pooled connection was already lost
// before it began.
func givenUp(err error) bool {
	if lost, ok := errors.AsType[notBegun](err); ok && errors.Is(lost.error, errUnreachable) {
		return true
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40001" || pg.Code == "40P01")
}
