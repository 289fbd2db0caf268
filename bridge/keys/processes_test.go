package keys_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

func TestConcurrentRevokeAndVerify(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		const n = 16
		all := make([]bridge.Key, n)
		for i := range all {
			all[i] = f.mint(t, admin, keys.Wish{})
			f.lives(t, all[i])
		}
		var revoked [n]atomic.Bool
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := 0; ; i = (i + 1) % n {
					select {
					case <-stop:
						return
					default:
					}
					dead := revoked[i].Load() // read before verifying: if set, the answer must be no
					p, _ := bridge.ParsePresented(all[i].Text())
					if _, err := f.Verify(context.Background(), p, bridge.Use{}); err == nil && dead {
						t.Error("a key passes after its revocation has returned")
					}
				}
			})
		}
		for i := range all {
			if _, err := f.Revoke(t.Context(), admin, all[i].ID, ""); err != nil {
				t.Fatal(err)
			}
			revoked[i].Store(true)
		}
		close(stop)
		wg.Wait()
	})
}

func TestRestartKnowsAll(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		var live, dead []bridge.Key
		for i, w := range []keys.Wish{{}, {AllowFrom: []string{"192.0.2.0/24"}}, {Rate: "100/m"}, {MaxUses: 3}, {ExpiresIn: "never"}, {}, {}, {}} {
			key := f.mint(t, admin, w)
			switch i {
			case 5:
				old := key
				key, _, _ = f.Rotate(t.Context(), admin, key.ID, keys.Rotation{})
				live = append(live, old)
			case 6:
				_, _ = f.Revoke(t.Context(), admin, key.ID, "")
				dead = append(dead, key)
				continue
			case 7:
				_, _ = f.Disable(t.Context(), admin, key.ID)
				dead = append(dead, key)
				continue
			}
			live = append(live, key)
		}
		again := f.again(t)
		for _, key := range live {
			if _, err := again.verify(t, key.Text()); err != nil {
				t.Errorf("after a restart: %v", cause(err))
			}
		}
		for _, key := range dead {
			if _, err := again.verify(t, key.Text()); err == nil {
				t.Error("after a restart a dead key lives")
			}
		}
	})
}

// again returns another authority over the same database, in this process.
func (f fixture) again(t *testing.T) fixture {
	t.Helper()
	a, err := keys.New(t.Context(), f.db, keys.Config{Servers: []bridge.ServerURL{self}, Catalogue: catalogue.Builtin(), Now: f.clock.now},
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return fixture{a, f.db, f.clock}
}

func TestAFileBelongsToOneProcess(t *testing.T) {
	dsn := sqldbtest.SQLite(t)
	for i, want := range []bridge.Code{"", "database_in_use"} {
		db, err := sqldb.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if _, err = keys.New(t.Context(), db, keys.Config{Catalogue: catalogue.Builtin()},
			slog.New(slog.DiscardHandler)); bridge.CodeOf(err) != want {
			t.Errorf("authority %d: %v, want %q", i, err, want)
		}
	}
}

func TestProcessesOnOnePostgreSQL(t *testing.T) {
	dsn := sqldbtest.Postgres(t)
	c := &clock{t: time.Now()}
	process := func() fixture {
		db, err := sqldb.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		a, err := keys.New(t.Context(), db, keys.Config{Servers: []bridge.ServerURL{self}, Catalogue: catalogue.Builtin()},
			slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan struct{})
		go func() { _ = a.Run(ctx); close(ran) }()
		t.Cleanup(func() { cancel(); <-ran; _ = db.Close() })
		return fixture{a, db, c}
	}
	one, two := process(), process()
	key := one.mint(t, admin, keys.Wish{})
	two.lives(t, key) // at once, though it has not been told perhaps
	_, place, _, changed := two.Changes(0)
	within := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.After(sqldbtest.Slow(5 * time.Second)); !ok(); {
			select {
			case <-changed:
				_, place, _, changed = two.Changes(place)
			case <-deadline:
				t.Fatalf("%s: not known", what)
			}
		}
	}
	_, next, _, _ := two.Changes(0)
	if _, err := one.Disable(t.Context(), admin, key.ID); err != nil {
		t.Fatal(err)
	}
	within("disabled", func() bool { _, err := two.verify(t, key.Text()); return cause(err) == "key_disabled" })
	if ids, _, complete, _ := two.Changes(next); !complete || !slices.Contains(ids, key.ID) {
		t.Error("the other process does not tell its listeners of the change")
	}
	// A lost notification: a change that nobody heard of is found by its version.
	if _, err := one.db.ExecContext(t.Context(), `UPDATE key_changes SET version = version + 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := one.db.ExecContext(t.Context(), `UPDATE api_keys SET ended_at = 1, ended_by = 'x', version =
		(SELECT version FROM key_changes)`); err != nil {
		t.Fatal(err)
	}
	within("revoked in silence", func() bool { _, err := two.verify(t, key.Text()); return cause(err) == "key_revoked" })
}

func TestJunkNeverReachesTheDatabase(t *testing.T) {
	dsn := sqldbtest.SQLite(t)
	db, err := sqldb.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	a, err := keys.New(t.Context(), db, keys.Config{Catalogue: catalogue.Builtin()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f := fixture{a, db, nil}
	if err := db.Close(); err != nil { // from here on a query would fail visibly
		t.Fatal(err)
	}
	for range 100 {
		f.dies(t, bridge.NewKey(bridge.KindLive, mustV7()), "key_unknown")
	}
}
