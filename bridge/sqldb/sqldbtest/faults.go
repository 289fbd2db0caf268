package sqldbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Trouble is one way in which a database fails while in use.
type Trouble struct {
	Name  string
	Code  bridge.Code // of the resulting error
	Reads bool        // reading keeps working
	// DSN creates a database that can get into the trouble.
	DSN func(testing.TB) string
	// Begin starts the trouble, and restore ends it. db is the database as the program under test opened it.
	Begin func(t testing.TB, dsn string, db *sqldb.DB) (restore func())
}

// Troubles returns the troubles that can be caused from outside.
func Troubles() []Trouble {
	outside := func(begin func(testing.TB, string) func()) func(testing.TB, string, *sqldb.DB) func() {
		return func(t testing.TB, dsn string, db *sqldb.DB) func() {
			restore := begin(t, dsn)
			dropIdle(db)
			return func() { restore(); dropIdle(db) }
		}
	}
	return []Trouble{
		{"postgres away", bridge.CodeDatabaseUnreachable, false, Postgres, outside(Away)},
		{"postgres without connections", bridge.CodeDatabaseTooManyConnections, false, LimitedPostgres, outside(TooMany)},
		{"postgres read-only", bridge.CodeDatabaseReadOnly, true, Postgres, outside(ReadOnly)},
		{"sqlite read-only", bridge.CodeDatabaseReadOnly, true, SQLite, queryOnly},
		{"sqlite full", bridge.CodeDatabaseFull, true, SmallDisk, fillDisk},
		{"sqlite busy", bridge.CodeDatabaseBusy, true, SQLite, locked},
	}
}

// ReadOnly makes a database of [Postgres] read-only for everyone until restore is called.
func ReadOnly(t testing.TB, dsn string) (restore func()) {
	t.Helper()
	name := databaseOf(t, dsn)
	return alter(t, dsn, "ALTER DATABASE "+name+" SET default_transaction_read_only = on", "ALTER DATABASE "+name+" RESET default_transaction_read_only")
}

// Away makes a database of [Postgres] end all connections and refuse new ones until restore is called.
func Away(t testing.TB, dsn string) (restore func()) {
	t.Helper()
	name := databaseOf(t, dsn)
	return alter(t, dsn, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false", "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true")
}

// TooMany makes PostgreSQL refuse the user of [LimitedPostgres] for too many connections (SQLSTATE 53300).
func TooMany(t testing.TB, dsn string) (restore func()) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	role := u.User.Username()
	return alter(t, dsn, "ALTER ROLE "+role+" CONNECTION LIMIT 0", "ALTER ROLE "+role+" CONNECTION LIMIT -1")
}

// LimitedPostgres returns an empty [Postgres] database whose user's connections can be limited.
//
// The connections of a superuser cannot be.
func LimitedPostgres(t testing.TB) string {
	t.Helper()
	var random [8]byte
	_, _ = rand.Read(random[:])
	role, password := "ace_role_"+hex.EncodeToString(random[:]), rand.Text()
	t.Cleanup(func() { // runs after the database, which the role owns, is dropped
		_ = admin(context.Background(), "DROP ROLE IF EXISTS "+role)
	})
	dsn := postgres(t, noTemplate)
	if err := admin(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD '"+password+"'", "ALTER DATABASE "+databaseOf(t, dsn)+" OWNER TO "+role); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}

func databaseOf(t testing.TB, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// admin runs statements in the test server's administrative database.
func admin(ctx context.Context, statements ...string) error {
	dsn, err := server()
	if err != nil {
		return err
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for _, q := range statements {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// alter changes a setting of a database until restore undoes it; both end the connections to it.
func alter(t testing.TB, dsn, do, undo string) (restore func()) {
	t.Helper()
	change := func(what string) {
		end := "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + databaseOf(t, dsn) + "'"
		if err := admin(context.WithoutCancel(t.Context()), what, end); err != nil {
			t.Fatal(err)
		}
	}
	change(do)
	return func() { change(undo) }
}

// dropIdle makes a program notice at once that its pooled connections have ended.
func dropIdle(db *sqldb.DB) {
	const idle = 8 // as in [sqldb.Open]
	db.SetMaxIdleConns(0)
	db.SetMaxIdleConns(idle)
}

// onOne reduces a program to one connection and runs a statement on it.
func onOne(t testing.TB, db *sqldb.DB, statement string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	db.SetMaxOpenConns(1)
	for db.Stats().OpenConnections > 1 { // a connection that is returned is closed, whether this one or one used elsewhere
		if _, err := db.ExecContext(ctx, "SELECT 1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(ctx, statement); err != nil {
		t.Fatal(err)
	}
}

func queryOnly(t testing.TB, _ string, db *sqldb.DB) (restore func()) {
	t.Helper()
	onOne(t, db, "PRAGMA query_only = ON")
	return func() { onOne(t, db, "PRAGMA query_only = OFF") }
}

const lockedPatience = 100 * time.Millisecond

// locked makes another process hold the lock of a SQLite file.
func locked(t testing.TB, dsn string, db *sqldb.DB) (restore func()) {
	t.Helper()
	db.SetPatience(lockedPatience)
	other, err := sqldb.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := other.BeginTx(context.WithoutCancel(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func() { _, _ = tx.Rollback(), other.Close() }
}

const (
	smallDisk = "16m"
	filler    = "filler"
)

// SmallDisk is [SQLite] on a small disk that can be filled, if one can be mounted.
func SmallDisk(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+smallDisk); err == nil {
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	}
	return "sqlite:" + filepath.Join(dir, "test.db")
}

// fillDisk fills the disk of [SmallDisk]. If none could be mounted, it makes SQLite refuse more pages.
func fillDisk(t testing.TB, dsn string, db *sqldb.DB) (restore func()) {
	t.Helper()
	dir := filepath.Dir(strings.TrimPrefix(dsn, "sqlite:"))
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		t.Fatal(err)
	}
	if disk.Blocks*uint64(disk.Bsize) > 64<<20 { //nolint:gosec // a size of a block
		onOne(t, db, "PRAGMA max_page_count = 1")
		return func() { onOne(t, db, "PRAGMA max_page_count = 1073741823") }
	}
	path := filepath.Join(dir, filler)
	f, err := os.Create(path) //nolint:gosec // in the test's folder
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() { _ = os.Remove(path) }
}
