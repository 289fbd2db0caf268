package keys

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// alone is an authority over a database, which nothing runs beside.
func alone(t *testing.T, dsn string) (*sqldb.DB, *Authority) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	a, err := New(t.Context(), db, Config{Catalogue: catalogue.Builtin()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return db, a
}

func liveKey(t *testing.T, a *Authority) bridge.Key {
	t.Helper()
	key, _, err := a.Create(t.Context(), audit.Actor{ID: "x", Org: "acme"}, NewKey{Kind: bridge.KindLive, Name: "k", Org: "acme",
		Owner: "ann", Scopes: bridge.Scopes{"app:*"}})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A process that has lost the database which others change refuses everything once its lease is over.
func TestStaleFailsClosed(t *testing.T) {
	db, a := alone(t, sqldbtest.Postgres(t))
	key := liveKey(t, a)
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { _ = a.Run(ctx); close(ran) }()
	defer func() { stop(); <-ran }()
	p := bridge.Presented{Value: key.Text()}
	id, err := a.Verify(t.Context(), p, bridge.Use{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Verify(t.Context(), p, bridge.Use{}); err != nil {
		t.Errorf("within the lease: %v", err)
	}
	for deadline := time.Now().Add(10 * time.Second); a.Fresh() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		a.synced.Store(monotonic() - int64(lease) - 1) // as if that much time had passed
	}
	if _, err := a.Verify(t.Context(), p, bridge.Use{}); bridge.AsError(err).Kind != bridge.Unavailable {
		t.Errorf("after the lease: %v", err)
	}
	if a.Alive(id) {
		t.Error("a stream goes on")
	}
}

// The index finds every key and no other, through every growth.
func TestIndex(t *testing.T) {
	a := &Authority{table: newTable()}
	const n = 50_000
	var all [n]row
	for i := range all {
		all[i], _ = sample(i)
		if !a.table.put(&all[i]) || a.table.put(&all[i]) {
			t.Fatal("a key is taken once, and not twice at the same version")
		}
	}
	for i := range all {
		f, ok := a.table.find(all[i].ID)
		if !ok || f.secret != all[i].current || f.owner != all[i].Owner || f.org != "acme" || f.scopes.String() != "app:*" {
			t.Fatalf("key %d: %v %+v", i, ok, f)
		}
	}
	for i := range 1000 {
		r, _ := sample(i)
		if _, ok := a.table.find(r.ID); ok {
			t.Fatal("a key that was never put in is found")
		}
	}
}

// Many sets of scopes, of which only some are kept parsed, come back as they were.
func TestManyScopeSets(t *testing.T) {
	a := &Authority{table: newTable()}
	var all []row
	for i := range 60_000 {
		r, _ := sample(i)
		r.Scopes = bridge.Scopes{bridge.Scope("agent:" + r.ID.String()), "app:read"}
		a.table.put(&r)
		all = append(all, r)
	}
	for i := range all {
		if f, ok := a.table.find(all[i].ID); !ok || f.scopes.String() != all[i].Scopes.String() {
			t.Fatalf("key %d has %v, want %v", i, f.scopes, all[i].Scopes)
		}
	}
}

// A database that has lost commits, at a failover for one, is read anew: the table must not stand for what is gone.
func TestLostCommits(t *testing.T) {
	db, a := alone(t, sqldbtest.Postgres(t))
	kept, gone := liveKey(t, a), liveKey(t, a)
	if err := a.pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, place, _, _ := a.Changes(0)
	for _, statement := range []string{"DELETE FROM api_keys WHERE version = 2", "UPDATE key_changes SET version = 1",
		"UPDATE api_keys SET ended_at = 1, version = 1"} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.stale.Store(false) // as Run does once the table is up to date
	for _, key := range []bridge.Key{kept, gone} {
		if _, err := a.Verify(t.Context(), bridge.Presented{Value: key.Text()}, bridge.Use{}); err == nil {
			t.Error("a key passes that the database has revoked, or does not have")
		}
	}
	if _, _, complete, _ := a.Changes(place); complete {
		t.Error("who listens is not told that any key may have changed")
	}
}

// Reports of a key that is dead already change nothing.
func TestRepeatedLeaksChangeNothing(t *testing.T) {
	_, a := alone(t, sqldbtest.SQLite(t))
	key := liveKey(t, a)
	for range 3 {
		if _, ours, err := a.Leaked(t.Context(), audit.Actor{ID: "leak report"}, key.Text(), ""); err != nil || !ours {
			t.Errorf("%v %v", ours, err)
		}
	}
	if v, err := a.Version(t.Context()); err != nil || v != 2 {
		t.Errorf("the version is %d (%v), want 2: a creation and a revocation", v, err)
	}
}
