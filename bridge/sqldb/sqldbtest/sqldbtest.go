// Package sqldbtest gives tests fresh databases, on SQLite and on a real PostgreSQL.
package sqldbtest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/acebridge/ace/bridge/sqldb"
)

// Required reports whether ACE_TEST_REQUIRE names a part.
//
// Without that part a test must fail rather than be skipped.
func Required(part string) bool {
	return slices.Contains(strings.Split(os.Getenv("ACE_TEST_REQUIRE"), ","), part)
}

// Each runs a test once on SQLite and once on PostgreSQL, each with the URL of a fresh database.
func Each(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// EachEmpty is [Each] with databases that were not migrated.
func EachEmpty(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, emptySQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres(t, noTemplate)) })
}

// SQLite returns the URL of a fresh SQLite database, migrated as [Main] was told.
func SQLite(t testing.TB) string {
	t.Helper()
	dsn := emptySQLite(t)
	if len(migrate) == 0 {
		return dsn
	}
	file, err := sqliteTemplate()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(strings.TrimPrefix(dsn, "sqlite:"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func emptySQLite(t testing.TB) string {
	t.Helper()
	dir, err := scratch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return "sqlite:" + filepath.Join(dir, "test.db")
}

// Postgres returns the URL of a fresh PostgreSQL database, migrated as [Main] was told.
//
// It is on the server of ACE_TEST_POSTGRES_URL, or on one that is started for this test process. Without a server the test is
// skipped, or fails if ACE_TEST_REQUIRE includes "postgres".
func Postgres(t testing.TB) string {
	t.Helper()
	return postgres(t, postgresTemplate)
}

func postgres(t testing.TB, template func() (string, error)) string {
	t.Helper()
	dsn, err := server()
	if err != nil {
		if Required("postgres") {
			t.Fatalf("PostgreSQL is required: %v", err)
		}
		t.Skipf("skipped: no PostgreSQL: %v", err)
	}
	source, err := template()
	if err != nil {
		t.Fatal(err)
	}
	name, err := create(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { drop(name) })
	if dsn, err = named(dsn, name); err != nil {
		t.Fatal(err)
	}
	return dsn
}

var (
	once    sync.Once
	running string
	failed  error
	process *exec.Cmd
	dir     string
)

func server() (string, error) {
	if given := os.Getenv("ACE_TEST_POSTGRES_URL"); given != "" {
		return given, nil
	}
	once.Do(func() { running, failed = start() })
	return running, failed
}

// Main runs a package's tests and stops what was started for them.
//
// Their databases have gone through the given migrations, which run once for all of them; without any they are empty.
func Main(m *testing.M, migrations ...func(context.Context, *sqldb.DB) error) {
	migrate = migrations
	code := m.Run()
	Stop()
	os.Exit(code)
}

// Stop ends the PostgreSQL that was started for this test process, if any.
func Stop() {
	stopTemplates()
	if process != nil {
		_ = process.Process.Signal(syscall.SIGQUIT) // immediately: nothing in it has to be kept
		_ = process.Wait()
		process = nil
	}
	if dir != "" {
		_ = os.RemoveAll(dir)
	}
}

// start creates a cluster in a temporary folder and serves it on a socket in that folder. PostgreSQL refuses to run as root, so
// root starts it as the user "postgres".
func start() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no server in /usr/lib/postgresql; install Debian's package postgresql, or set ACE_TEST_POSTGRES_URL")
	}
	bin := filepath.Dir(found[len(found)-1])
	if dir, err = scratch(); err != nil {
		return "", err
	}
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 {
		if attr.Credential, err = postgresUser(); err != nil {
			return "", err
		}
		if err := os.Chown(dir, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
			return "", err
		}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "ace", "-A", "trust", "-E", "UTF8", "--no-sync") //nolint:gosec,noctx // our own arguments
	initdb.SysProcAttr, initdb.Dir = &syscall.SysProcAttr{Credential: attr.Credential}, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	process = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", //nolint:gosec,noctx // our own arguments
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "wal_level=minimal", "-c", "max_wal_senders=0",
		"-c", "checkpoint_timeout=1h", "-c", "autovacuum=off", "-c", "max_connections=200")
	process.SysProcAttr, process.Dir = attr, dir
	if err := process.Start(); err != nil {
		process = nil
		return "", err
	}
	dsn := "postgres://ace@/postgres?host=" + url.QueryEscape(dir)
	return dsn, ready(dsn)
}

func postgresUser() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("the user postgres has no numeric IDs")
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// ready waits until the server accepts connections.
func ready(dsn string) error {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL did not start: %w", err)
		case <-tick.C:
		}
	}
}
