package schema_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/timeline"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/schema"
)

// eachDatabase runs a test with a database, and what opening it logs.
func eachDatabase(t *testing.T, test func(t *testing.T, open func() *schema.DB, log *bytes.Buffer)) {
	t.Helper()
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		db, err := sqldb.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		var log bytes.Buffer
		test(t, func() *schema.DB {
			t.Helper()
			d, err := schema.New(t.Context(), db, schema.Config{}, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			return d
		}, &log)
	})
}

// numbers gives no numbers, but counts the transactions that ask for one.
type numbers struct {
	db    *sqldb.DB
	takes []bool
}

func (n *numbers) Numbered(ctx context.Context, rule timeline.Rule) error {
	return n.db.Tx(ctx, func(tx *sql.Tx) error {
		takes, err := rule(tx)
		n.takes = append(n.takes, takes)
		return err
	})
}

// What takes something away is numbered, what only adds is not; what fails is undone either way.
func TestChangesAreNumbered(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *schema.DB, _ *bytes.Buffer) {
		db, failed := open(), errors.New("the rule fails")
		add := func(id string) func(*sql.Tx) error {
			return func(tx *sql.Tx) error {
				_, err := tx.ExecContext(t.Context(), "INSERT INTO organizations (id, slug, name, created_at) VALUES ($1, $1, $1, 1)", id)
				return err
			}
		}
		for _, c := range []struct {
			name    string
			do      func() error
			asked   []bool
			err     error
			written bool
		}{
			{"change", func() error { return db.Change(t.Context(), add("change")) }, []bool{true}, nil, true},
			{"takes", func() error {
				return db.ChangeIf(t.Context(), func(tx *sql.Tx) (bool, error) { return true, add("takes")(tx) })
			}, []bool{true}, nil, true},
			{"takes-nothing", func() error {
				return db.ChangeIf(t.Context(), func(tx *sql.Tx) (bool, error) { return false, add("takes-nothing")(tx) })
			}, []bool{false}, nil, true},
			{"tx", func() error { return db.Tx(t.Context(), add("tx")) }, nil, nil, true},
			{"fails", func() error {
				return db.Change(t.Context(), func(tx *sql.Tx) error { return errors.Join(add("fails")(tx), failed) })
			}, []bool{true}, failed, false},
			{"tx-fails", func() error {
				return db.Tx(t.Context(), func(tx *sql.Tx) error { return errors.Join(add("tx-fails")(tx), failed) })
			}, nil, failed, false},
		} {
			n := &numbers{db: db.DB}
			db.NumberWith(n)
			if err := c.do(); !errors.Is(err, c.err) {
				t.Errorf("%s: %v", c.name, err)
			}
			if len(n.takes) != len(c.asked) || len(c.asked) == 1 && n.takes[0] != c.asked[0] {
				t.Errorf("%s: numbered %v, want %v", c.name, n.takes, c.asked)
			}
			var there bool
			err := db.QueryRowContext(t.Context(), "SELECT EXISTS (SELECT 1 FROM organizations WHERE id = $1)", c.name).Scan(&there)
			if err != nil || there != c.written {
				t.Errorf("%s: it is written: %t (%v)", c.name, there, err)
			}
		}
	})
}

// Names of older versions are brought to one form at the start; one that is taken stays, and the operator is told.
func TestOldNames(t *testing.T) {
	const composed, decomposed = "zo\u00eb", "zoe\u0308"
	eachDatabase(t, func(t *testing.T, open func() *schema.DB, log *bytes.Buffer) {
		db := open()
		for id, email := range map[string]string{"free": "free" + decomposed + "@b\u00fccher.test", "taken": composed + "@xn--bcher-kva.test", "twice": decomposed + "@b\u00fccher.test",
			"no address": decomposed} {
			if _, err := db.ExecContext(t.Context(), "INSERT INTO users (id, email, name, password, created_at) VALUES ($1, $2, '', '', 1)", id, email); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the second start changes nothing
			open()
			for id, want := range map[string]string{"free": "free" + composed + "@xn--bcher-kva.test", "taken": composed + "@xn--bcher-kva.test",
				"twice": decomposed + "@b\u00fccher.test", "no address": decomposed} {
				var email string
				if err := db.QueryRowContext(t.Context(), "SELECT email FROM users WHERE id = $1", id).Scan(&email); err != nil || email != want {
					t.Errorf("%s: %+q, want %+q (%v)", id, email, want, err)
				}
			}
			if said := log.String(); strings.Count(said, "exists twice") != 1 || !strings.Contains(said, "id=twice") {
				t.Errorf("the log says %s", said)
			}
			log.Reset()
		}
	})
}

func TestPages(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *schema.DB, _ *bytes.Buffer) {
		db := open()
		for _, c := range []struct {
			name        string
			rows, limit int
			items       int
			next        string
		}{
			{"nothing", 0, 3, 0, ""}, {"less than a page", 2, 3, 2, ""}, {"just a page", 3, 3, 3, ""}, {"more", 4, 3, 3, "3"},
		} {
			rows, err := db.QueryContext(t.Context(), "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT CAST(i AS TEXT) FROM n WHERE i <= $1 ORDER BY i LIMIT $2", c.rows, c.limit+1) //nolint:sqlclosecheck,rowserrcheck // Page does
			items, next, err := schema.Page(rows, err, c.limit, func(row sqldb.Row) (s string, err error) { return s, row.Scan(&s) }, func(s string) string { return s })
			if err != nil || len(items) != c.items || next != c.next {
				t.Errorf("%s: %v, then %q (%v)", c.name, items, next, err)
			}
		}
	})
	for limit, want := range map[int]int{-1: 50, 0: 50, 1: 1, 500: 500, 501: 500} {
		if got := schema.PageSize(limit); got != want {
			t.Errorf("a page of %d has %d items, want %d", limit, got, want)
		}
	}
}

func TestDeleteBefore(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *schema.DB, _ *bytes.Buffer) {
		db := open()
		for _, at := range []int64{100, 200} {
			if _, err := db.ExecContext(t.Context(), "INSERT INTO organizations (id, slug, name, created_at) VALUES ($1, $1, $1, $2)", strconv.FormatInt(at, 10), at); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.DeleteBefore(t.Context(), time.Unix(200, 0), "DELETE FROM organizations WHERE created_at < $1"); err != nil {
			t.Fatal(err)
		}
		var left string
		if err := db.QueryRowContext(t.Context(), "SELECT id FROM organizations").Scan(&left); err != nil || left != "200" {
			t.Errorf("left is %q (%v)", left, err)
		}
		if err := db.DeleteBefore(t.Context(), time.Unix(200, 0), "DELETE FROM nothing WHERE created_at < $1"); err == nil {
			t.Error("a statement that fails is no error")
		}
	})
}

func TestStoredForms(t *testing.T) {
	if schema.At(0) != nil {
		t.Error("no time is a time")
	}
	if at := schema.At(1_800_000_000); at == nil || at.Location() != time.UTC || at.Unix() != 1_800_000_000 {
		t.Errorf("a time is %v", at)
	}
	// FIPS 180-2, appendix B.1.
	if got := schema.Hash(bridge.NewSecret("abc")); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("a hash is %s", got)
	}
	last := ""
	for range 1000 {
		id, err := schema.NewID()
		if err != nil || id <= last {
			t.Fatalf("%s does not come after %s (%v)", id, last, err)
		}
		last = id
	}
	waiting := make(chan struct{}, 1)
	schema.Wake(waiting)
	schema.Wake(waiting) // does not block
	<-waiting
	select {
	case <-waiting:
		t.Error("one worker is woken twice")
	default:
	}
}

// TestBackoff checks that waits double up to a bound, however often something has failed.
func TestBackoff(t *testing.T) {
	for tries, want := range map[int]time.Duration{0: time.Minute, 1: 2 * time.Minute, 5: 32 * time.Minute, 6: time.Hour, 64: time.Hour, 1 << 40: time.Hour} {
		if got := schema.Backoff(tries, time.Minute, time.Hour); got != want {
			t.Errorf("after %d tries: %s, not %s", tries, got, want)
		}
	}
}
