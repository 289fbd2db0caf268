package sqldb_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// start opens a database like a server, closes it, and returns its ID.
func start(t *testing.T, s sqldb.Start) (string, error) {
	t.Helper()
	s.Role = "server"
	db, err := sqldb.OpenChecked(t.Context(), s, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	if err := db.Migrate(t.Context(), "test", now); err != nil {
		t.Fatal(err)
	}
	id, err := db.ID(t.Context())
	if err != nil || id == "" {
		t.Fatalf("the ID is %q (%v)", id, err)
	}
	return id, nil
}

func TestDatabaseThatWasThere(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		other := sqldbtest.SQLite(t)
		if strings.HasPrefix(dsn, "postgres") {
			other = sqldbtest.Postgres(t)
		}
		dir := t.TempDir()
		first, err := start(t, sqldb.Start{URL: dsn, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := start(t, sqldb.Start{URL: dsn, Dir: dir}); err != nil || again != first {
			t.Errorf("the same database: %v", err)
		}
		state, err := sqldb.ReadState(sqldb.StateFile(dir, "server"))
		if err != nil || state.DatabaseID != first {
			t.Errorf("the data directory says %+v (%v)", state, err)
		}
		if _, err := start(t, sqldb.Start{URL: other, Dir: dir}); bridge.CodeOf(err) != "database_missing" {
			t.Errorf("an empty database: %v", err)
		}
		if _, err := start(t, sqldb.Start{URL: other}); err != nil {
			t.Errorf("without a data directory: %v", err)
		}
		if _, err := start(t, sqldb.Start{URL: other, Dir: dir}); bridge.CodeOf(err) != "database_other" {
			t.Errorf("another database: %v", err)
		}
		second, err := start(t, sqldb.Start{URL: other, Dir: dir, New: true})
		if err != nil || second == first {
			t.Errorf("another database that is meant: %v", err)
		}
		if _, err := start(t, sqldb.Start{URL: other, Dir: dir}); err != nil {
			t.Errorf("after another database was meant: %v", err)
		}
	})
}

func TestFileThatWasThere(t *testing.T) {
	for name, lose := range map[string]func(path string) error{
		"missing": os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dsn, dir := sqldbtest.SQLite(t), t.TempDir()
			path := strings.TrimPrefix(dsn, "sqlite:")
			if _, err := start(t, sqldb.Start{URL: dsn, Dir: dir}); err != nil {
				t.Fatal(err)
			}
			if err := lose(path); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the first attempt leaves nothing that the second would take for a database
				_, err := start(t, sqldb.Start{URL: dsn, Dir: dir})
				if e := bridge.AsError(err); e.Code != "database_missing" || !strings.Contains(e.Hint, "ace server --new-database") {
					t.Errorf("%v: %s", err, e.Hint)
				}
			}
			if _, err := start(t, sqldb.Start{URL: dsn, Dir: dir, New: true}); err != nil {
				t.Errorf("a new one that is meant: %v", err)
			}
		})
	}
}

func TestStateFileThatIsNone(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "cut": `{"database_id":"x`, "no ID": `{}`, "noise": "\x00\x01"} {
		t.Run(name, func(t *testing.T) {
			dsn, dir := sqldbtest.SQLite(t), t.TempDir()
			if err := os.WriteFile(sqldb.StateFile(dir, "server"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := start(t, sqldb.Start{URL: dsn, Dir: dir}); bridge.CodeOf(err) != "state_unreadable" {
				t.Error(err)
			}
			if _, err := start(t, sqldb.Start{URL: dsn, Dir: dir, New: true}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDirectoryThatTakesNothing checks that a database is used even if the data directory cannot be written.
func TestDirectoryThatTakesNothing(t *testing.T) {
	if _, err := start(t, sqldb.Start{URL: sqldbtest.SQLite(t), Dir: filepath.Join(t.TempDir(), "none")}); err != nil {
		t.Error(err)
	}
}

// TestDamagedPage checks that noise in any page keeps a database from being used.
func TestDamagedPage(t *testing.T) {
	const page = 4096
	dsn := sqldbtest.SQLite(t)
	path := strings.TrimPrefix(dsn, "sqlite:")
	db := open(t, dsn)
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE big (text TEXT)"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := db.ExecContext(t.Context(), "INSERT INTO big (text) VALUES ($1)", strings.Repeat("x", 900)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := start(t, sqldb.Start{URL: dsn}); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at+page <= len(whole); at += page {
		damaged := append([]byte{}, whole...)
		for i := range page {
			damaged[at+i] = byte(i*7 + 13)
		}
		copied := filepath.Join(t.TempDir(), "damaged.db")
		if err := os.WriteFile(copied, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := start(t, sqldb.Start{URL: "sqlite:" + copied})
		if e := bridge.AsError(err); e.Code != bridge.CodeDatabaseDamaged || !strings.Contains(e.Hint, "restore a backup") {
			t.Errorf("page %d: %v", at/page+1, err)
		}
	}
}

func TestWritable(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		db, err := sqldb.OpenChecked(t.Context(), sqldb.Start{URL: dsn, Role: "server"}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		db.SetMaxOpenConns(1)
		if err := db.Writable(t.Context()); err != nil {
			t.Fatal(err)
		}
		readOnly := "PRAGMA query_only = ON"
		if db.Dialect == sqldb.Postgres {
			readOnly = "SET default_transaction_read_only = on"
		}
		if _, err := db.ExecContext(t.Context(), readOnly); err != nil {
			t.Fatal(err)
		}
		if err := db.Writable(t.Context()); err != nil {
			t.Errorf("asked again within a second: %v", err)
		}
		db.ForgetWrite()
		if err := db.Writable(t.Context()); bridge.CodeOf(err) != bridge.CodeDatabaseReadOnly {
			t.Errorf("while writes fail: %v", err)
		}
	})
}

func TestMigrationSteps(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		sqldbtest.Steps(t, db.DB, db.Dialect == sqldb.Postgres, "database", os.DirFS("migrations"), func() {
			var n int
			if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM database_facts WHERE value = 'row 1'").Scan(&n); err != nil || n != 1 {
				t.Errorf("%d rows (%v)", n, err)
			}
		})
	})
}

func FuzzReadState(f *testing.F) {
	f.Add([]byte(`{"database_id":"x","generation":7}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "s.json")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := sqldb.ReadState(path)
		if (err == nil) != (s.DatabaseID != "") {
			t.Errorf("%+v %v", s, err)
		}
		if err != nil {
			return
		}
		if err := s.Write(path); err != nil {
			t.Fatal(err)
		}
		if again, err := sqldb.ReadState(path); err != nil || again != s {
			t.Errorf("%+v became %+v (%v)", s, again, err)
		}
	})
}
