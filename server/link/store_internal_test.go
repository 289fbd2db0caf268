package link

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, audit.Migrate, Migrate) }

// eachStore runs a test with an empty store on each database, and holds that nothing goes on after it.
func eachStore(t *testing.T, test func(t *testing.T, db *sqldb.DB, s *Store)) {
	t.Helper()
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		before := goleak.IgnoreCurrent()
		t.Cleanup(func() { goleak.VerifyNone(t, before, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener")) })
		db, err := sqldb.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		s, err := Open(t.Context(), db, bridge.NewSecret("the secret of a server in tests"), nil)
		if err != nil {
			t.Fatal(err)
		}
		test(t, db, s)
	})
}

func (s *Store) must(ctx context.Context, t *testing.T, l row) {
	t.Helper()
	if public, err := s.issue(ctx, l); err != nil || len(public) != 43 {
		t.Fatalf("%q, %v", public, err)
	}
}

// A server keeps its ID; a join is live once, replaces those before it, and says whom the server trusts.
func TestStoreJoins(t *testing.T) {
	eachStore(t, func(t *testing.T, db *sqldb.DB, s *Store) {
		ctx := t.Context()
		again, err := Open(ctx, db, bridge.NewSecret("the secret of a server in tests"), nil)
		if err != nil || again.ServerID() != s.ServerID() || !s.URL().LinkOnly() {
			t.Fatalf("%q, %q, %v", s.ServerID(), again.ServerID(), err)
		}
		joined := func(id, pin string) row {
			return row{KeyID: id, PublicKey: pin, Cloud: "https://cloud.test", Org: "acme", Joined: true}
		}
		s.must(ctx, t, row{KeyID: "connected", Cloud: "https://cloud.test", Org: "acme"})
		s.must(ctx, t, joined("first", "pin-1"))
		if pin, err := s.Pin(ctx); pin != "pin-1" || err != nil {
			t.Errorf("while it joins: %q, %v", pin, err)
		}
		var replicas sync.WaitGroup
		for range 4 {
			replicas.Go(func() {
				if err := again.joined(ctx, audit.Actor{ID: "operator"}, joined("first", "pin-1")); err != nil {
					t.Error(err)
				}
			})
		}
		replicas.Wait()
		s.must(ctx, t, joined("second", "pin-2"))
		if pin, err := s.Pin(ctx); pin != "pin-1" || err != nil {
			t.Errorf("while it joins again: %q, %v", pin, err)
		}
		if err := s.joined(ctx, audit.Actor{ID: "operator"}, joined("second", "pin-2")); err != nil {
			t.Fatal(err)
		}
		rows, err := s.rows(ctx)
		if err != nil || len(rows) != 2 || rows[0].KeyID != "second" || rows[0].State != stateLive || rows[1].KeyID != "connected" || pinOf(rows) != "pin-2" {
			t.Fatalf("%+v, %v", rows, err)
		}
		for range 2 {
			if err := s.drop(ctx, audit.Actor{ID: "system"}, rows[0], "its key is revoked", nil); err != nil {
				t.Fatal(err)
			}
		}
		if pin, err := s.Pin(ctx); pin != "" || err != nil {
			t.Errorf("afterwards: %q, %v", pin, err)
		}
		for action, want := range map[string]int{"link.join": 2, "link.leave": 1} {
			if entries, _, err := audit.List(ctx, db, audit.Query{Org: "acme", Action: action}); err != nil || len(entries) != want {
				t.Errorf("%s: %+v, %v", action, entries, err)
			}
		}
	})
}

// A rotation goes on with the same successor after an interruption, and happens once.
func TestStoreRotates(t *testing.T) {
	eachStore(t, func(t *testing.T, db *sqldb.DB, s *Store) {
		ctx := t.Context()
		s.must(ctx, t, row{KeyID: "key", Cloud: "https://cloud.test", Org: "acme"})
		rows, err := s.rows(ctx)
		if err != nil {
			t.Fatal(err)
		}
		before := rows[0]
		one, key, err := s.successor(ctx, before)
		if err != nil {
			t.Fatal(err)
		}
		_, same, err := s.successor(ctx, before) // as it was read before
		if err != nil || !key.Equal(same) {
			t.Errorf("another successor: %v", err)
		}
		s.now = func() time.Time { return time.Unix(2_000_000_000, 0) }
		for range 2 {
			after, err := s.rotated(ctx, one)
			if err != nil || after.next != "" || after.sealed != one.next {
				t.Fatalf("%+v, %v", after, err)
			}
		}
		rows, err = s.rows(ctx)
		if err != nil || rows[0].sealed != one.next || rows[0].next != "" || rows[0].RotatedAt.Unix() != 2_000_000_000 {
			t.Errorf("%+v, %v", rows, err)
		}
		if now, err := s.seals.open("key", rows[0].sealed); err != nil || !now.Equal(key) {
			t.Errorf("the key cannot be read: %v", err)
		}
		if _, err := s.seals.open("another", rows[0].sealed); bridge.CodeOf(err) != bridge.CodeLinkUnreadable {
			t.Errorf("the key of one link passes as another's: %v", err)
		}
		if _, err := newSeals(bridge.NewSecret("another secret of a server")).open("key", rows[0].sealed); bridge.CodeOf(err) != bridge.CodeLinkUnreadable {
			t.Errorf("another secret opens it: %v", err)
		}
		if entries, _, err := audit.List(ctx, db, audit.Query{Org: "acme", Action: "link.rotate_key"}); err != nil || len(entries) != 1 {
			t.Errorf("%+v, %v", entries, err)
		}
	})
}
