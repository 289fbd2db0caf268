package table_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/table"
	"github.com/acebridge/ace/bridge/keys/timeline"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m) }

// follower returns a table over a database in which an authority has created some keys.
func follower(t *testing.T, n int) (*sqldb.DB, *table.Table, []bridge.Key) {
	t.Helper()
	return followerThatLogs(t, n, slog.DiscardHandler)
}

func followerThatLogs(t *testing.T, n int, handler slog.Handler) (*sqldb.DB, *table.Table, []bridge.Key) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldbtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	log := slog.New(handler)
	a, err := keys.New(t.Context(), db, keys.Config{Catalogue: catalogue.Builtin()}, log)
	if err != nil {
		t.Fatal(err)
	}
	var made []bridge.Key
	for range n {
		key, _, err := a.Create(t.Context(), audit.Actor{ID: "x", Org: "acme"}, keys.NewKey{Kind: bridge.KindLive, Name: "k", Org: "acme",
			Owner: "ann", Scopes: bridge.Scopes{"app:*"}})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, key)
	}
	all := table.New(table.Config{DB: db, Line: timeline.New(timeline.Config{DB: db}, log), Catalogue: catalogue.Builtin()}, log)
	if err := all.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db, all, made
}

func verify(t *testing.T, all *table.Table, key bridge.Key) (id bridge.Identity, err error) {
	t.Helper()
	_, err = all.Verify(t.Context(), &bridge.Presented{Value: key.Text()}, bridge.Use{}, &id)
	return id, err
}

// logged tells of each line of a log that holds a text.
type logged struct {
	text string
	seen chan struct{}
}

func (l logged) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(l.text)) {
		select {
		case l.seen <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

// A process that has lost the database which others change refuses everything once its lease is over.
func TestStaleFailsClosed(t *testing.T) {
	failed := logged{"could not read which keys have changed", make(chan struct{}, 1)}
	stale := logged{"keys_stale=true", make(chan struct{}, 1)}
	db, all, made := followerThatLogs(t, 1, slog.NewTextHandler(io.MultiWriter(failed, stale), nil))
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { all.Run(ctx); close(ran) }()
	defer func() { stop(); <-ran }()
	id, err := verify(t, all, made[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(t, all, made[0]); err != nil {
		t.Errorf("within the lease: %v", err)
	}
	all.Poke()
	<-failed.seen // no look from before the loss is under way any more
	all.Age()     // as if that much time had passed
	<-stale.seen
	if _, err := verify(t, all, made[0]); bridge.AsError(err).Kind != bridge.Unavailable {
		t.Errorf("after the lease: %v", err)
	}
	if all.Reader().Alive(id) {
		t.Error("a stream goes on")
	}
}

// TestLostCommits checks that a database which has lost commits, for example in a failover, is loaded again.
func TestLostCommits(t *testing.T) {
	db, all, made := follower(t, 2)
	if err := all.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, place, _, _ := all.Reader().Changes(0)
	for _, statement := range []string{"DELETE FROM api_keys WHERE version = 2", "UPDATE key_changes SET version = 1",
		"UPDATE api_keys SET ended_at = 1, version = 1"} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := all.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.Freshen()
	for _, key := range made {
		if _, err := verify(t, all, key); err == nil {
			t.Error("a key passes that the database has revoked, or does not have")
		}
	}
	if _, _, complete, _ := all.Reader().Changes(place); complete {
		t.Error("who listens is not told that any key may have changed")
	}
}
