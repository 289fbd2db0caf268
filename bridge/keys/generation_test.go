package keys_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// marked starts an authority with a mark in a folder.
func marked(t *testing.T, dsn, dir string, c *clock) (fixture, func(), error) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mark.Open(mark.Place{Dir: dir, Role: "server"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop := func() { _, _ = db.Close(), m.Close() }
	a, err := keys.New(t.Context(), db, keys.Config{Servers: []bridge.ServerURL{self}, Catalogue: catalogue.Builtin(), Now: c.now, Mark: m},
		slog.New(slog.DiscardHandler))
	if err != nil {
		stop()
	} else {
		t.Cleanup(stop)
	}
	return fixture{a, db, c}, stop, err
}

// copyFile copies a SQLite database that nobody has open.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{"-wal", "-shm"} {
		_ = os.Remove(to + more)
	}
}

// TestOldBackup checks that an old backup put in place is refused at start until it is accepted, and that whatever may have been
// taken away since is then dead or listed.
func TestOldBackup(t *testing.T) {
	dsn, dir := sqldbtest.SQLite(t), t.TempDir()
	file := strings.TrimPrefix(dsn, "sqlite:")
	backup := filepath.Join(dir, "backup.db")
	c := &clock{t: time.Unix(1_800_000_000, 0)}
	f, stop, err := marked(t, dsn, dir, c)
	if err != nil {
		t.Fatal(err)
	}
	revoked, record := f.create(t, nil)
	rotated, rotating := f.create(t, nil)
	connection, _ := f.create(t, func(n *keys.NewKey) { n.Kind = bridge.KindSK })
	exchange := func(f fixture, issued time.Time) error {
		_, _, err := f.Create(t.Context(), operator, keys.NewKey{Kind: bridge.KindSK, Name: "c", Org: "acme", Owner: "ann", Scopes: bridge.Scopes{"app:*"},
			Exchange: &keys.Exchange{Issuer: "https://c", JTI: "1", Issued: issued, Expires: issued.Add(5 * time.Minute)}})
		return err
	}
	issued := c.now()
	stop()
	copyFile(t, file, backup)
	if f, stop, err = marked(t, dsn, dir, c); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Revoke(t.Context(), admin, record.ID, "leaked"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Revive(t.Context(), admin, rotating.ID, "1h"); err != nil {
		t.Fatal(err)
	}
	if err := exchange(f, issued); err != nil {
		t.Fatal(err)
	}
	last := f.Numbers().Last
	stop()
	copyFile(t, backup, file)
	if _, _, err := marked(t, dsn, dir, c); bridge.CodeOf(err) != "database_behind" || bridge.AsError(err).Hint == "" {
		t.Fatalf("a start on yesterday's file: %v, want database_behind with a hint", err)
	}
	if err := os.Remove(filepath.Join(dir, "server-generation")); err != nil { // the database knows as well
		t.Fatal(err)
	}
	if _, _, err := marked(t, dsn, dir, c); bridge.CodeOf(err) != "database_behind" {
		t.Fatalf("a second start: %v, want database_behind", err)
	}
	c.advance(time.Second)
	db, err := sqldb.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	done, err := keys.AcceptRestore(t.Context(), db, c.now(), keys.RestoreChoice{DisableKeys: true}, audit.Actor{ID: "operator", Org: "acme"})
	if err != nil || done.Known != last || done.Now <= last || done.Unconfirmed != 1 || len(done.Keys) != 2 {
		t.Fatalf("accepted: %+v, %v", done, err)
	}
	_ = db.Close()
	if f, _, err = marked(t, dsn, dir, c); err != nil {
		t.Fatal(err)
	}
	for _, key := range []bridge.Key{revoked, rotated} {
		if _, err := f.verify(t, key.Text()); cause(err) != "key_disabled" {
			t.Errorf("a key that may be dead: %v", cause(err))
		}
	}
	if err := exchange(f, issued); bridge.CodeOf(err) != "connect_token_old" {
		t.Errorf("the used connect token: %v", err)
	}
	if f.Numbers().Restored != done.Now {
		t.Errorf("the numbers are %+v", f.Numbers())
	}
	c.advance(25 * time.Hour)
	if _, err := f.verify(t, connection.Text()); cause(err) != "key_lapsed" {
		t.Errorf("a connection's key that nobody has used for a day: %v", cause(err))
	}
}

// TestDoubtAfterARestore checks that keys which may have been revoked before a restore are listed as in doubt until somebody,
// but not their holder, decides on each.
func TestDoubtAfterARestore(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		for _, disable := range []bool{false, true} {
			anns := func(n *keys.NewKey) { n.Owner = "ann" }
			first, kept := f.create(t, anns)
			_, revived := f.create(t, anns)
			_, revoked := f.create(t, anns)
			if _, err := keys.AcceptRestore(t.Context(), f.db, f.clock.now(), keys.RestoreChoice{DisableKeys: disable}, audit.Actor{ID: "operator"}); err != nil {
				t.Fatal(err)
			}
			if err := f.Pull(t.Context()); err != nil {
				t.Fatal(err)
			}
			doubted := func(id uuid.UUID) bool {
				t.Helper()
				r, err := f.Get(t.Context(), acme, id)
				if err != nil {
					t.Fatal(err)
				}
				return f.API(r).DoubtedAt != nil
			}
			for _, r := range []record.Record{kept, revived, revoked} {
				if !doubted(r.ID) {
					t.Errorf("disabled %v: a key is in no doubt", disable)
				}
			}
			member := keys.By{Actor: audit.Actor{ID: "user:ann"}, Who: bridge.Identity{Type: bridge.TypeUserToken, Subject: "ann", Org: "acme",
				Role: bridge.RoleMember, Scopes: bridge.Scopes{"app:*", "key:*"}}}
			if _, err := f.Enable(t.Context(), member, kept.ID); bridge.CodeOf(err) != "key_doubted" || !doubted(kept.ID) {
				t.Errorf("disabled %v: its holder decides: %v", disable, err)
			}
			if _, _, err := f.Revive(t.Context(), member, revived.ID, "1h"); bridge.CodeOf(err) != "key_doubted" || !doubted(revived.ID) {
				t.Errorf("disabled %v: its holder decides with a new secret: %v", disable, err)
			}
			if _, err := f.Enable(t.Context(), admin, kept.ID); err != nil || doubted(kept.ID) {
				t.Errorf("disabled %v: kept: %v", disable, err)
			}
			if _, err := f.verify(t, first.Text()); err != nil {
				t.Errorf("disabled %v: a kept key: %v", disable, err)
			}
			if !disable {
				if _, _, err := f.Revive(t.Context(), admin, revived.ID, "1h"); err != nil || doubted(revived.ID) {
					t.Errorf("revived: %v", err)
				}
			}
			if _, err := f.Revoke(t.Context(), admin, revoked.ID, "x"); err != nil || doubted(revoked.ID) {
				t.Errorf("disabled %v: revoked: %v", disable, err)
			}
		}
	})
}

// TestBehindWhileRunning checks that a process whose database falls behind refuses everything until an operator accepts that.
func TestBehindWhileRunning(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		c := &clock{t: time.Unix(1_800_000_000, 0)}
		f, _, err := marked(t, dsn, t.TempDir(), c)
		if err != nil {
			t.Fatal(err)
		}
		key, record := f.create(t, nil)
		f.create(t, nil)
		if _, err := f.db.ExecContext(t.Context(), "UPDATE key_changes SET version = 0"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Revoke(t.Context(), admin, record.ID, "x"); bridge.CodeOf(err) != "database_behind" {
			t.Errorf("a change: %v, want database_behind", err)
		}
		if _, err := f.verify(t, key.Text()); bridge.CodeOf(err) != "database_behind" || bridge.AsError(err).Kind != bridge.Unavailable {
			t.Errorf("a verification: %v, want database_behind", err)
		}
		if _, err := keys.AcceptRestore(t.Context(), f.db, c.now(), keys.RestoreChoice{}, audit.Actor{ID: "operator"}); err != nil {
			t.Fatal(err)
		}
		if err := f.Pull(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.verify(t, key.Text()); err != nil {
			t.Errorf("accepted: %v", err)
		}
		if _, err := f.Revoke(t.Context(), admin, record.ID, "x"); err != nil {
			t.Errorf("a change once it is accepted: %v", err)
		}
	})
}

// TestCloudKnowsBetter checks that a machine without the file accepts the number that the cloud names in its tokens, and
// nobody else's.
func TestCloudKnowsBetter(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		connection, _ := f.create(t, func(n *keys.NewKey) { n.Kind = bridge.KindSK })
		other, _ := f.create(t, nil)
		present := func(key bridge.Key, generation int64) error {
			token, err := key.SignAccess(bridge.AccessClaims{Times: bridge.NewTimes(f.clock.now(), bridge.MaxAccessTokenLife), Subject: "ann@example.com",
				Scope: "app:*", Generation: generation}.ForServer(self))
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.verify(t, token)
			return err
		}
		for _, ok := range []struct {
			key    bridge.Key
			number int64
		}{{connection, 0}, {connection, 2}, {connection, -1}, {connection, 1 << 62}, {other, 100}} {
			if err := present(ok.key, ok.number); err != nil {
				t.Errorf("%s key, %d: %v", ok.key.Kind, ok.number, err)
			}
		}
		if err := present(connection, 100); bridge.CodeOf(err) != "database_behind" {
			t.Errorf("the cloud knows change 100: %v, want database_behind", err)
		}
		if _, err := f.verify(t, other.Text()); bridge.CodeOf(err) != "database_behind" {
			t.Errorf("another key: %v, want database_behind", err)
		}
		done, err := keys.AcceptRestore(t.Context(), f.db, f.clock.now(), keys.RestoreChoice{}, audit.Actor{ID: "operator"})
		if err != nil || done.Now != 101 {
			t.Fatalf("accepted: %+v, %v", done, err)
		}
		if err := f.Pull(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.clock.advance(time.Second)
		if err := present(connection, 100); err != nil {
			t.Errorf("accepted: %v", err)
		}
	})
}
