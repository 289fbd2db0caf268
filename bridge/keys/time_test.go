package keys_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
)

// later starts another authority on the same database, with its own clock.
func (f fixture) later(t *testing.T, now time.Time) fixture {
	t.Helper()
	c := &clock{t: now}
	a, err := keys.New(t.Context(), f.db, keys.Config{Servers: []bridge.ServerURL{self}, Catalogue: catalogue.Builtin(), Now: c.now},
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return fixture{a, f.db, c}
}

// TestClockBack checks that a clock which goes back revives nothing: after a small step time stands still, after a large one
// everything is refused, and once that is accepted, what had ended stays ended and can be revived.
func TestClockBack(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		start := f.clock.now()
		short, ending := f.create(t, func(n *keys.NewKey) { n.ExpiresAt = start.Add(30 * time.Minute) })
		long, _ := f.create(t, nil)
		lapsed, lapsing := f.create(t, func(n *keys.NewKey) {
			n.Kind, n.Exchange = bridge.KindSK, &keys.Exchange{Issuer: "https://c", JTI: "1", Issued: start, Expires: start.Add(5 * time.Minute)}
		})
		f.clock.advance(time.Hour)
		for _, key := range []bridge.Key{short, lapsed} {
			if _, err := f.verify(t, key.Text()); err == nil {
				t.Error("a key passes that has ended")
			}
		}
		f = f.later(t, start.Add(58*time.Minute)) // at once: only the refusal has stored the time
		if _, err := f.verify(t, short.Text()); cause(err) != "key_expired" {
			t.Errorf("a little behind: %v, want key_expired", cause(err))
		}
		if _, err := f.verify(t, long.Text()); err != nil {
			t.Errorf("a little behind, a good key is refused: %v", err)
		}
		f.clock.set(start.Add(time.Minute))
		if _, err := f.verify(t, long.Text()); bridge.CodeOf(err) != "clock_behind" || bridge.AsError(err).Kind != bridge.Unavailable {
			t.Errorf("an hour behind: %v, want clock_behind", err)
		}
		if _, err := f.Revoke(t.Context(), admin, ending.ID, "x"); bridge.CodeOf(err) != "clock_behind" {
			t.Errorf("a change: %v, want clock_behind", err)
		}
		done, err := keys.AcceptClock(t.Context(), f.db, f.clock.now(), audit.Actor{ID: "operator"})
		if err != nil || done.Ended != 2 || !done.Was.Equal(start.Add(time.Hour)) {
			t.Errorf("accept: %+v, %v", done, err)
		}
		if _, err := keys.AcceptClock(t.Context(), f.db, f.clock.now(),
			audit.Actor{ID: "operator"}); bridge.CodeOf(err) != "clock_not_behind" {
			t.Errorf("accept again: %v", err)
		}
		f = f.later(t, f.clock.now())
		if _, err := f.verify(t, long.Text()); err != nil {
			t.Errorf("accepted: %v", err)
		}
		for key, want := range map[bridge.Key]bridge.Code{short: "key_expired", lapsed: "key_lapsed"} {
			if _, err := f.verify(t, key.Text()); cause(err) != want {
				t.Errorf("accepted: %v, want %s", cause(err), want)
			}
		}
		if r, err := f.Get(t.Context(), acme, lapsing.ID); err != nil || r.Status(f.Now()) != record.StatusLapsed {
			t.Errorf("the lapsed key is %s (%v)", r.Status(f.Now()), err)
		}
		revived, _, err := f.Revive(t.Context(), admin, ending.ID, "1h")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.verify(t, revived.Text()); err != nil {
			t.Errorf("revived: %v", err)
		}
	})
}

// TestConnectTokenAfterClock checks that a connect token is used only once, wherever the clock goes.
func TestConnectTokenAfterClock(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		start := f.clock.now()
		exchange := func(f fixture, jti string, issued time.Time) error {
			_, _, err := f.Create(t.Context(), operator, keys.NewKey{Kind: bridge.KindSK, Name: "c", Org: "acme", Owner: "ann",
				Scopes: bridge.Scopes{"app:*"}, Exchange: &keys.Exchange{Issuer: "https://c", JTI: jti, Issued: issued, Expires: issued.Add(5 * time.Minute)}})
			return err
		}
		if err := exchange(f, "1", start); err != nil {
			t.Fatal(err)
		}
		f.clock.advance(time.Hour)
		f.Housekeeping(t.Context())                                                                   // forgets the use
		if _, err := f.db.ExecContext(t.Context(), "UPDATE key_changes SET newest = 0"); err != nil { // as if no time had been stored
			t.Fatal(err)
		}
		f = f.later(t, start.Add(time.Minute))
		if err := exchange(f, "1", start); bridge.CodeOf(err) != "connect_token_used" {
			t.Errorf("a forgotten token: %v", err)
		}
		if err := exchange(f, "2", start.Add(time.Minute)); err != nil {
			t.Errorf("a new token: %v", err)
		}
		f.clock.advance(time.Hour)
		if err := exchange(f, "3", f.clock.now()); err != nil {
			t.Fatal(err)
		}
		f.clock.set(start.Add(10 * time.Minute))
		if _, err := keys.AcceptClock(t.Context(), f.db, f.clock.now(), audit.Actor{ID: "operator"}); err != nil {
			t.Fatal(err)
		}
		f = f.later(t, f.clock.now())
		if err := exchange(f, "4", start.Add(9*time.Minute)); bridge.CodeOf(err) != "connect_token_old" {
			t.Errorf("a token from before: %v", err)
		}
		if err := exchange(f, "5", f.clock.now()); err != nil {
			t.Errorf("a token since: %v", err)
		}
	})
}

// TestAccessTokenAfterClock checks that an expired access token is not valid again once an earlier time is accepted.
func TestAccessTokenAfterClock(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		start := f.clock.now()
		key, _ := f.create(t, func(n *keys.NewKey) { n.Kind = bridge.KindSK })
		token, err := key.SignAccess(bridge.AccessClaims{Times: bridge.NewTimes(start, bridge.MaxAccessTokenLife), Subject: "ann@example.com", Scope: "app:*"}.ForServer(self))
		if err != nil {
			t.Fatal(err)
		}
		f.clock.advance(time.Hour)
		if _, err := f.verify(t, token); err == nil {
			t.Error("an expired token passes")
		}
		f = f.later(t, f.clock.now())
		if _, err := keys.AcceptClock(t.Context(), f.db, start.Add(time.Minute), audit.Actor{ID: "operator"}); err != nil {
			t.Fatal(err)
		}
		f = f.later(t, start.Add(time.Minute))
		if _, err := f.verify(t, token); cause(err) != "token_expired" {
			t.Errorf("the token: %v", cause(err))
		}
	})
}
