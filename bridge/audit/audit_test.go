package audit_test

import (
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m) }

func TestAudit(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		db, err := sqldb.Open(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if err := audit.Migrate(ctx, db); err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1_800_000_000, 0)
		for i := range 7 {
			actor := audit.Actor{ID: []string{"user:ann", "user:bob"}[i%2], Org: []string{"acme", "rival"}[i/5], Address: "192.0.2.1"}
			// Text from outside may be too long, not UTF-8 or contain a NUL; it is stored all the same.
			entry := audit.Entry{Actor: actor, Action: "key.create", Target: "key:x\x00\xff", Details: map[string]string{"name": strings.Repeat("é", 1000)}}
			if err := audit.Record(ctx, db, now.Add(time.Duration(i)*time.Second), entry); err != nil {
				t.Fatal(err)
			}
		}
		count := func(q audit.Query) (n int) {
			t.Helper()
			for {
				page, next, err := audit.List(ctx, db, q)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range page {
					if e.Org != q.Org || e.Outcome != audit.OK || len(e.Details["name"]) > 512 {
						t.Errorf("%+v", e)
					}
				}
				if n += len(page); next == "" {
					return n
				}
				q.Before = next
			}
		}
		for want, q := range map[int]audit.Query{5: {Org: "acme", Limit: 2}, 4: {Org: "acme", From: now.Add(time.Second)},
			1: {Org: "acme", From: now.Add(2 * time.Second), To: now.Add(3 * time.Second)}, 3: {Org: "acme", Actor: "user:ann", Limit: 1}, 2: {Org: "rival"},
			0: {Org: "acme", Action: "key.revoke"}} {
			if got := count(q); got != want {
				t.Errorf("%+v: %d entries, want %d", q, got, want)
			}
		}
		refused := errors.New("the change failed")
		err = db.Tx(ctx, func(tx *sql.Tx) error {
			if err := audit.Write(ctx, tx, now, audit.Entry{Actor: audit.Actor{Org: "gone"}, Action: "x"}); err != nil {
				return err
			}
			return refused
		})
		if !errors.Is(err, refused) || count(audit.Query{Org: "gone"}) != 0 {
			t.Errorf("the entry of a change that failed stays (%v)", err)
		}
	})
}

// TestPagesInBothDirections checks that paging to older and newer entries omits none and repeats none, even within one second.
func TestPagesInBothDirections(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		db, err := sqldb.Open(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if err := audit.Migrate(ctx, db); err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1_800_000_000, 0)
		for i := range 11 {
			e := audit.Entry{Actor: audit.Actor{ID: "user:ann", Org: "acme"}, Action: "key.create", Target: strconv.Itoa(i)}
			if i%5 == 0 {
				e.Outcome = []string{"role_admin", "role_viewer"}[i%2]
			}
			if err := audit.Record(ctx, db, now.Add(time.Duration(i/6)*time.Second), e); err != nil {
				t.Fatal(err)
			}
		}
		list := func(q audit.Query) (targets string, ids []string, next string) {
			t.Helper()
			q.Org = "acme"
			page, next, err := audit.List(ctx, db, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				targets += e.Target + " "
				ids = append(ids, e.ID)
			}
			return targets, ids, next
		}
		first, _, next := list(audit.Query{Limit: 4})
		second, ids, next2 := list(audit.Query{Limit: 4, Before: next})
		third, _, end := list(audit.Query{Limit: 4, Before: next2})
		if first != "10 9 8 7 " || second != "6 5 4 3 " || third != "2 1 0 " || end != "" {
			t.Errorf("older: %q %q %q, then %q", first, second, third, end)
		}
		back, _, newer := list(audit.Query{Limit: 3, After: ids[0]})
		if back != "9 8 7 " || newer == "" {
			t.Errorf("newer: %q, then %q", back, newer)
		}
		if back, _, newer = list(audit.Query{Limit: 3, After: newer}); back != "10 " || newer != "" {
			t.Errorf("newest: %q, then %q", back, newer)
		}
		for outcome, want := range map[string]string{audit.Refused: "10 5 0 ", "role_viewer": "5 ", audit.OK: "9 8 7 6 4 3 2 1 "} {
			if got, _, _ := list(audit.Query{Outcome: outcome}); got != want {
				t.Errorf("%s: %q", outcome, got)
			}
		}
		if got, _, _ := list(audit.Query{Before: "no such entry"}); got != "" {
			t.Errorf("before no entry: %q", got)
		}
		rival, _, err := audit.List(ctx, db, audit.Query{Org: "rival", Before: next})
		if err != nil || len(rival) != 0 {
			t.Errorf("another organization's cursor: %v %v", rival, err)
		}
	})
}
