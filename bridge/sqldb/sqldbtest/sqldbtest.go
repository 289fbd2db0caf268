// Package sqldbtest gives tests fresh databases, on SQLite and on a real PostgreSQL of their own.
package sqldbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
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
)

// Required reports whether ACE_TEST_REQUIRE names a part without which a test must fail rather than be skipped.
func Required(part string) bool {
	return slices.Contains(strings.Split(os.Getenv("ACE_TEST_REQUIRE"), ","), part)
}

// Each runs a test once on SQLite and once on PostgreSQL, with a fresh database URL.
func Each(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// SQLite returns the URL of a fresh SQLite database.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
}

// Postgres returns the URL of a fresh PostgreSQL database. It is made on the server of ACE_TEST_POSTGRES_URL, or on one
// that is started for this test process; where there is none, the test is skipped, or fails if ACE_TEST_REQUIRE has
// "postgres".
func Postgres(t testing.TB) string {
	t.Helper()
	admin, err := server()
	if err != nil {
		if Required("postgres") {
			t.Fatalf("PostgreSQL is required: %v", err)
		}
		t.Skipf("skipped: no PostgreSQL: %v", err)
	}
	db, err := sql.Open("pgx", admin)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var random [8]byte
	_, _ = rand.Read(random[:])
	name := "ace_test_" + hex.EncodeToString(random[:])
	// Most databases sort text as a language does and not by bytes; SQL that only works by bytes is to be found out here.
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name+
		" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db, err := sql.Open("pgx", admin)
		if err != nil {
			return
		}
		defer func() { _ = db.Close() }()
		_, _ = db.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
	})
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
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

// Main runs the tests of a package and stops what was started for them.
func Main(m *testing.M) {
	code := m.Run()
	Stop()
	os.Exit(code)
}

// Stop ends the PostgreSQL that was started for this test process, if any.
func Stop() {
	if process != nil {
		_ = process.Process.Signal(syscall.SIGQUIT) // at once: nothing in it is to be kept
		_ = process.Wait()
		process = nil
	}
	if dir != "" {
		_ = os.RemoveAll(dir)
	}
}

// start makes a cluster in a temporary folder and serves it on a socket in there. PostgreSQL refuses to run as root, so
// root starts it as the user "postgres".
func start() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no server in /usr/lib/postgresql; install Debian's package postgresql, or set ACE_TEST_POSTGRES_URL")
	}
	bin := filepath.Dir(found[len(found)-1])
	if dir, err = os.MkdirTemp("", "acepg"); err != nil {
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
		"-c", "fsync=off", "-c", "max_connections=200")
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
		return nil, fmt.Errorf("the user postgres has no numbers")
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// ready waits for the server to take connections.
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
