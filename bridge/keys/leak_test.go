package keys

import (
	"log/slog"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// alone returns an authority over a database, without a running Run.
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

// TestRepeatedLeaksChangeNothing checks that reporting a dead key changes nothing.
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
