package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m) }

var (
	one = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE a (id BIGINT PRIMARY KEY);\n-- +goose Down\nDROP TABLE a;\n")}
	two = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE b (id BIGINT PRIMARY KEY);\n-- +goose Down\nDROP TABLE b;\n")}
	old = fstest.MapFS{"00001_a.sql": one}
	now = fstest.MapFS{"00001_a.sql": one, "00002_b.sql": two}
)

func open(t *testing.T, dsn string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func count(t *testing.T, db *sqldb.DB) int {
	t.Helper()
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM a").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMigrate(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		for _, fsys := range []fstest.MapFS{old, now, now} {
			if err := db.Migrate(t.Context(), "test", fsys); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Migrate(t.Context(), "test", old); bridge.CodeOf(err) != "database_newer" {
			t.Errorf("an older program opens a newer database: %v", err)
		}
	})
}

func TestMigrateTogether(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		var wg sync.WaitGroup
		for range 3 {
			db := open(t, dsn)
			wg.Go(func() {
				if err := db.Migrate(t.Context(), "test", now); err != nil {
					t.Errorf("one of several starting at once: %v", err)
				}
			})
		}
		wg.Wait()
	})
}

func TestTx(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		if err := db.Migrate(t.Context(), "test", old); err != nil {
			t.Fatal(err)
		}
		insert := func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), "INSERT INTO a (id) VALUES (1)")
			return err
		}
		failure := errors.New("no")
		err := db.Tx(t.Context(), func(tx *sql.Tx) error { return errors.Join(insert(tx), failure) })
		if !errors.Is(err, failure) || count(t, db) != 0 {
			t.Errorf("a failed transaction left %d rows (%v)", count(t, db), err)
		}
		if err := db.Tx(t.Context(), insert); err != nil || count(t, db) != 1 {
			t.Errorf("a transaction left %d rows (%v)", count(t, db), err)
		}
		if err := db.Tx(t.Context(), insert); !sqldb.IsUnique(err) {
			t.Errorf("a second row of one key: %v", err)
		}
	})
}

func TestTxRollsBackAPanic(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		func() {
			defer func() { _ = recover() }()
			_ = db.Tx(t.Context(), func(*sql.Tx) error { panic("no") })
		}()
		if n := db.Stats().InUse; n != 0 {
			t.Errorf("%d connections are still in a transaction", n)
		}
	})
}

func TestPragmasReachEveryConnection(t *testing.T) {
	dsn := sqldbtest.SQLite(t)
	db := open(t, dsn)
	info, err := os.Stat(strings.TrimPrefix(dsn, "sqlite:"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode: %v %v", info.Mode(), err)
	}
	for range 3 { // held, so that each is a different one
		conn, err := db.Conn(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1",
			"busy_timeout": "1000"} {
			var got string
			if err := conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %q (%v), want %q", pragma, got, err, want)
			}
		}
	}
}

// TestCloseEmptiesTheLog checks that a closed SQLite database is a single file, which operators copy, even after a cancelled
// query.
func TestCloseEmptiesTheLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.db")
	db := open(t, "sqlite:"+file)
	if err := db.Migrate(t.Context(), "test", old); err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer giveUp()
	const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
	if err := db.QueryRowContext(ctx, endless).Scan(new(int)); err == nil {
		t.Fatal("an endless query ends")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.Stat(file + "-wal"); err == nil {
		t.Errorf("%d bytes are left in the log", left.Size())
	}
}
