package sqldb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

func TestClassify(t *testing.T) {
	pg := func(code string) error { return fmt.Errorf("do it: %w", &pgconn.PgError{Code: code}) }
	for name, c := range map[string]struct {
		err  error
		want bridge.Code
	}{
		"disk full":           {pg("53100"), bridge.CodeDatabaseFull},
		"out of memory":       {pg("53200"), bridge.CodeDatabaseOutOfMemory},
		"too many":            {pg("53300"), bridge.CodeDatabaseTooManyConnections},
		"shutting down":       {pg("57P01"), bridge.CodeDatabaseUnreachable},
		"crashed":             {pg("57P02"), bridge.CodeDatabaseUnreachable},
		"starting":            {pg("57P03"), bridge.CodeDatabaseUnreachable},
		"connection lost":     {pg("08006"), bridge.CodeDatabaseUnreachable},
		"I/O":                 {pg("58030"), bridge.CodeDatabaseFailing},
		"read-only":           {pg("25006"), bridge.CodeDatabaseReadOnly},
		"damaged":             {pg("XX001"), bridge.CodeDatabaseDamaged},
		"damaged index":       {pg("XX002"), bridge.CodeDatabaseDamaged},
		"lock timeout":        {pg("55P03"), bridge.CodeDatabaseBusy},
		"deadlock":            {pg("40P01"), bridge.CodeDatabaseBusy},
		"password":            {pg("28P01"), bridge.CodeDatabaseRefused},
		"no rights":           {pg("42501"), bridge.CodeDatabaseRefused},
		"refused":             {&net.OpError{Op: "dial", Err: errors.New("connection refused")}, bridge.CodeDatabaseUnreachable},
		"reset":               {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), bridge.CodeDatabaseUnreachable},
		"timeout":             {context.DeadlineExceeded, bridge.CodeDatabaseUnreachable},
		"bad connection":      {driver.ErrBadConn, bridge.CodeDatabaseUnreachable},
		"connection is done":  {sql.ErrConnDone, bridge.CodeDatabaseUnreachable},
		"a unique constraint": {pg("23505"), "internal"},
		"a wrong statement":   {pg("42601"), "internal"},
		"no rows":             {sql.ErrNoRows, "internal"},
		"given up":            {fmt.Errorf("%w: %w", context.Canceled, driver.ErrBadConn), "internal"},
		"a rule":              {bridge.E(bridge.Conflict, "taken", "it is taken"), "taken"},
	} {
		t.Run(name, func(t *testing.T) {
			got := sqldb.Classify(c.err)
			if !errors.Is(got, c.err) || bridge.CodeOf(got) != c.want {
				t.Errorf("is %s: %v", bridge.CodeOf(got), got)
			}
			if e := bridge.AsError(got); sqldb.IsFault(c.err) != (e.Kind == bridge.Unavailable && e.RetryAfter > 0 && e.Hint != "") {
				t.Errorf("kind %s, again after %s, hint %q", e.Kind, e.RetryAfter, e.Hint)
			}
		})
	}
}

// fill creates tables a and big, and a row of a that can be changed.
func fill(t *testing.T, db *sqldb.DB) {
	t.Helper()
	for _, q := range []string{"CREATE TABLE a (id BIGINT PRIMARY KEY)", "CREATE TABLE big (text TEXT)", "INSERT INTO a (id) VALUES (1)"} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFaultsOfSQLite checks that real failures of SQLite get their codes, whichever way a statement is run.
func TestFaultsOfSQLite(t *testing.T) {
	insert := "INSERT INTO big (text) VALUES ('" + strings.Repeat("x", 100<<10) + "')"
	for name, c := range map[string]struct {
		break_ func(t *testing.T, db *sqldb.DB, file string)
		want   bridge.Code
	}{
		"full": {func(t *testing.T, db *sqldb.DB, _ string) {
			db.SetMaxOpenConns(1) // the pragma affects only one connection
			if _, err := db.ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil {
				t.Fatal(err)
			}
		}, bridge.CodeDatabaseFull},
		"read-only": {func(t *testing.T, db *sqldb.DB, _ string) {
			db.SetMaxOpenConns(1)
			if _, err := db.ExecContext(t.Context(), "PRAGMA query_only = ON"); err != nil {
				t.Fatal(err)
			}
		}, bridge.CodeDatabaseReadOnly},
		"locked": {func(t *testing.T, db *sqldb.DB, file string) {
			db.SetPatience(50 * time.Millisecond)
			other := open(t, "sqlite:"+file)
			tx, err := other.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = tx.Rollback() })
		}, bridge.CodeDatabaseBusy},
		"no connection left": {func(t *testing.T, db *sqldb.DB, _ string) {
			db.SetPatience(time.Millisecond)
			db.SetMaxOpenConns(1)
			c, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
		}, bridge.CodeDatabaseTooManyConnections},
		"no file": {func(t *testing.T, db *sqldb.DB, file string) {
			db.SetMaxIdleConns(0)
			if err := os.RemoveAll(filepath.Dir(file)); err != nil {
				t.Fatal(err)
			}
		}, bridge.CodeDatabaseFailing},
		"no database": {func(t *testing.T, db *sqldb.DB, file string) {
			db.SetMaxIdleConns(0)
			if err := os.WriteFile(file, []byte(strings.Repeat("this is no database\n", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, bridge.CodeDatabaseDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := sqldbtest.SQLite(t)
			db := open(t, dsn)
			fill(t, db)
			c.break_(t, db, strings.TrimPrefix(dsn, "sqlite:"))
			_, execErr := db.ExecContext(t.Context(), insert)
			txErr := db.Tx(t.Context(), func(tx *sql.Tx) error {
				s, err := tx.PrepareContext(t.Context(), insert)
				if err != nil {
					return err
				}
				defer func() { _ = s.Close() }()
				_, err = s.ExecContext(t.Context())
				return err
			})
			for how, err := range map[string]error{"statement": execErr, "transaction": txErr} {
				e := bridge.AsError(err)
				if e.Code != c.want || e.Kind != bridge.Unavailable || e.RetryAfter == 0 {
					t.Errorf("%s: %s %s %v", how, e.Kind, e.Code, e.Err)
				}
			}
		})
	}
}

// TestLockIsWaitedFor checks that a change continues once the lock that it waits for is free.
func TestLockIsWaitedFor(t *testing.T) {
	dsn := sqldbtest.SQLite(t)
	db, other := open(t, dsn), open(t, dsn)
	fill(t, db)
	tx, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := db.ExecContext(t.Context(), "INSERT INTO a (id) VALUES (2)")
		done <- err
	}()
	for db.Stats().InUse == 0 { // until it has begun
	}
	_ = tx.Rollback()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestDeadlineBehindALock checks that a change which waits for a lock until its own deadline reports the lock.
func TestDeadlineBehindALock(t *testing.T) {
	dsn := sqldbtest.SQLite(t)
	db, other := open(t, dsn), open(t, dsn)
	fill(t, db)
	tx, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond) // SQLite waits for one second at a time
	defer cancel()
	if _, err := db.ExecContext(ctx, "INSERT INTO a (id) VALUES (2)"); bridge.CodeOf(err) != bridge.CodeDatabaseBusy {
		t.Error(err)
	}
}

// TestCancelledIsNoFault checks that a cancelled request says so, whatever the database makes of it.
func TestCancelledIsNoFault(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		fill(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Tx(ctx, func(tx *sql.Tx) error {
			cancel()
			_, err := tx.ExecContext(ctx, "INSERT INTO a (id) VALUES (2)")
			return err
		})
		if !errors.Is(err, context.Canceled) || sqldb.IsFault(err) {
			t.Errorf("%v", err)
		}
	})
}

func TestFaultsOfPostgres(t *testing.T) {
	db := open(t, sqldbtest.Postgres(t))
	fill(t, db)
	exec := func(q string) error {
		_, err := db.ExecContext(t.Context(), q)
		return err
	}
	t.Run("lock", func(t *testing.T) {
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := c.ExecContext(t.Context(), "BEGIN; LOCK TABLE a"); err != nil {
			t.Fatal(err)
		}
		defer func() { _, _ = c.ExecContext(t.Context(), "ROLLBACK") }()
		err = db.Tx(t.Context(), func(tx *sql.Tx) error {
			var wait string
			if err := tx.QueryRowContext(t.Context(), "SHOW lock_timeout").Scan(&wait); err != nil || wait != "10s" {
				t.Errorf("waits for %q (%v)", wait, err)
			}
			if _, err := tx.ExecContext(t.Context(), "SET LOCAL lock_timeout = 1"); err != nil {
				return err
			}
			_, err := tx.ExecContext(t.Context(), "INSERT INTO a (id) VALUES (2)")
			return err
		})
		if bridge.CodeOf(err) != bridge.CodeDatabaseBusy {
			t.Error(err)
		}
	})
	t.Run("read-only", func(t *testing.T) {
		err := db.Tx(t.Context(), func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(t.Context(), "SET TRANSACTION READ ONLY"); err != nil {
				return err
			}
			_, err := tx.ExecContext(t.Context(), "INSERT INTO a (id) VALUES (2)")
			return err
		})
		if bridge.CodeOf(err) != bridge.CodeDatabaseReadOnly {
			t.Error(err)
		}
	})
	t.Run("killed", func(t *testing.T) {
		err := db.Tx(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), "SELECT pg_terminate_backend(pg_backend_pid())")
			return err
		})
		if bridge.CodeOf(err) != bridge.CodeDatabaseUnreachable {
			t.Error(err)
		}
		if err := exec("INSERT INTO a (id) VALUES (3)"); err != nil {
			t.Errorf("after a connection was lost: %v", err)
		}
	})
}
