package keys_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
)

func (f fixture) mint(t *testing.T, by keys.By, w keys.Wish) bridge.Key {
	t.Helper()
	if w.Name == "" {
		w.Name = "ci"
	}
	key, _, err := f.Mint(t.Context(), by, w)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// as returns the holder of a key as the one who asks for something.
func (f fixture) as(t *testing.T, key bridge.Key) keys.By {
	t.Helper()
	id, err := f.verify(t, key.Text())
	if err != nil {
		t.Fatal(err)
	}
	return keys.By{Actor: audit.Actor{ID: "key:" + id.KeyID.String(), Org: id.Org}, Who: id}
}

// dies checks that a secret is refused for a cause.
func (f fixture) dies(t *testing.T, key bridge.Key, want bridge.Code) {
	t.Helper()
	if _, err := f.verify(t, key.Text()); cause(err) != want {
		t.Errorf("the key is refused for %q, want %q", cause(err), want)
	}
}

func (f fixture) lives(t *testing.T, key bridge.Key) bridge.Identity {
	t.Helper()
	id, err := f.verify(t, key.Text())
	if err != nil {
		t.Errorf("the key is refused: %v", cause(err))
	}
	return id
}

func TestRevive(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		old := f.mint(t, admin, keys.Wish{ExpiresIn: "7d"})
		before := f.lives(t, old)
		fresh, record, err := f.Revive(t.Context(), admin, old.ID, "30d")
		if err != nil || fresh.ID != old.ID || !record.ExpiresAt.Equal(f.clock.now().Add(30*24*time.Hour)) {
			t.Fatalf("revive: %v %+v", err, record)
		}
		f.dies(t, old, "key_secret")
		after := f.lives(t, fresh)
		if f.Alive(before) || !f.Alive(after) {
			t.Error("a stream that the old secret opened goes on, or one of the new secret does not")
		}
		f.clock.advance(31 * 24 * time.Hour)
		f.dies(t, fresh, "key_expired")
		again, _, err := f.Revive(t.Context(), admin, old.ID, "")
		if err != nil {
			t.Fatalf("an expired key cannot be revived: %v", err)
		}
		f.lives(t, again)
		if _, err := f.Revoke(t.Context(), admin, old.ID, ""); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Revive(t.Context(), admin, old.ID, ""); bridge.CodeOf(err) != "key_revoked" {
			t.Errorf("a revoked key is revived: %v", err)
		}
	})
}

func TestRotate(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		old := f.mint(t, admin, keys.Wish{})
		opened := f.lives(t, old)
		w := keys.Rotation{Grace: "24h", Idempotency: bridge.NewSecret("0f3c2f9e-2d5f-4f57-9a51-3e2b8c1f2a77")}
		fresh, record, err := f.Rotate(t.Context(), admin, old.ID, w)
		if err != nil || !record.GraceUntil.Equal(f.clock.now().Add(24*time.Hour)) {
			t.Fatalf("rotate: %v %+v", err, record)
		}
		id := f.lives(t, old)
		if !id.ExpiresAt.Equal(record.GraceUntil) || id.WarnFrom.IsZero() || !f.Alive(opened) {
			t.Errorf("the old secret's identity does not end with the grace: %+v", id)
		}
		f.lives(t, fresh)
		again, _, err := f.Rotate(t.Context(), admin, old.ID, w)
		if err != nil || !again.Text().Equal(fresh.Text()) {
			t.Errorf("the same rotation again answers another secret (%v)", err)
		}
		f.lives(t, old)
		if _, _, err := f.Rotate(t.Context(), admin, old.ID, keys.Rotation{}); bridge.CodeOf(err) != "rotation_pending" {
			t.Errorf("another rotation during the grace: %v", err)
		}
		f.clock.advance(24 * time.Hour)
		f.dies(t, old, "key_rotated")
		if f.Alive(opened) {
			t.Error("a stream of the old secret outlives the grace")
		}
		if again, _, err = f.Rotate(t.Context(), admin, old.ID, w); err != nil || !again.Text().Equal(fresh.Text()) {
			t.Errorf("a late retry kills the secret that the rotation gave out (%v)", err)
		}
		third, _, err := f.Rotate(t.Context(), admin, old.ID, keys.Rotation{Grace: "0s"})
		if err != nil {
			t.Fatal(err)
		}
		f.dies(t, fresh, "key_secret")
		f.lives(t, third)
		entries, _, err := audit.List(t.Context(), f.db, audit.Query{Org: "acme", Action: "key.rotate"})
		if err != nil || len(entries) != 2 {
			t.Errorf("%d rotations are in the audit log (%v), want 2", len(entries), err)
		}
	})
}

func TestConcurrentRotationsAreOne(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		old := f.mint(t, admin, keys.Wish{})
		w := keys.Rotation{Idempotency: bridge.NewSecret("the same for all of them")}
		var wg sync.WaitGroup
		var mu sync.Mutex
		secrets := map[string]bool{}
		for range 8 {
			wg.Go(func() {
				key, _, err := f.Rotate(context.Background(), admin, old.ID, w)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				secrets[key.Text().Reveal()] = true
			})
		}
		wg.Wait()
		if len(secrets) != 1 {
			t.Errorf("one rotation, tried eight times at once, gave out %d secrets", len(secrets))
		}
	})
}

func TestDisable(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		key := f.mint(t, admin, keys.Wish{})
		for range 2 {
			if r, err := f.Disable(t.Context(), admin, key.ID); err != nil || r.Status(f.clock.now()) != record.StatusDisabled {
				t.Fatalf("disable: %v", err)
			}
		}
		f.dies(t, key, "key_disabled")
		if _, _, err := f.Revive(t.Context(), admin, key.ID, ""); bridge.CodeOf(err) != "key_disabled" {
			t.Errorf("a disabled key is revived: %v", err)
		}
		if _, err := f.Enable(t.Context(), admin, key.ID); err != nil {
			t.Fatal(err)
		}
		f.lives(t, key)
	})
}

func TestMintingByAKey(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		plain := f.mint(t, admin, keys.Wish{Scopes: []string{"app:read"}})
		minter := f.mint(t, admin, keys.Wish{Scopes: []string{"app:read", "key:*"}, ExpiresIn: "30d", AllowFrom: []string{"192.0.2.0/24"}})
		by := f.as(t, minter)
		refused := func(w keys.Wish, want bridge.Code) {
			t.Helper()
			w.Name = "x"
			if _, _, err := f.Mint(t.Context(), by, w); bridge.CodeOf(err) != want {
				t.Errorf("%+v: %v, want %s", w, err, want)
			}
		}
		refused(keys.Wish{Scopes: []string{"app:write"}}, "scope_ceiling")
		refused(keys.Wish{Scopes: []string{"app:*"}}, "scope_ceiling")
		refused(keys.Wish{Scopes: []string{"app:read"}, ExpiresIn: "31d"}, "expiry_ceiling")
		refused(keys.Wish{Scopes: []string{"app:read"}, ExpiresIn: "never"}, "expiry_ceiling")
		refused(keys.Wish{Scopes: []string{"app:read"}, Kind: bridge.KindTest}, "key_environment")
		refused(keys.Wish{Scopes: []string{"app:read"}, AllowFrom: []string{"192.0.0.0/16"}}, "allow_from_ceiling")
		refused(keys.Wish{Scopes: []string{"app:raed"}}, "scope_unknown")
		child := f.mint(t, by, keys.Wish{Scopes: []string{"app:read"}})
		r, err := f.Get(t.Context(), acme, child.ID)
		if err != nil || len(r.Limits.AllowFrom) != 1 || r.ExpiresAt.After(f.clock.now().Add(30*24*time.Hour)) {
			t.Errorf("a key's child has no bounds: %v %+v", err, r)
		}
		if _, _, err := f.Rotate(t.Context(), by, plain.ID, keys.Rotation{}); bridge.CodeOf(err) != "allow_from_ceiling" {
			t.Errorf("a key gets a secret that works from everywhere: %v", err)
		}
		others, _ := f.create(t, func(n *keys.NewKey) { n.Owner, n.Scopes = "bob@example.com", bridge.Scopes{"app:read"} })
		if _, _, err := f.Revive(t.Context(), by, others.ID, ""); bridge.CodeOf(err) != "key_owner" {
			t.Errorf("a key gets a secret that acts in another's name: %v", err)
		}
		if _, _, err := f.Rotate(t.Context(), admin, others.ID, keys.Rotation{}); err != nil {
			t.Errorf("an admin in person rotates it: %v", err)
		}
		wide := f.mint(t, admin, keys.Wish{Preset: "full"})
		if _, _, err := f.Revive(t.Context(), by, wide.ID, ""); err == nil {
			t.Error("a key revives one that may more than itself")
		}
		limited := f.mint(t, admin, keys.Wish{Scopes: []string{"key:*", "app:*"}, MaxUses: 5})
		if _, _, err := f.Mint(t.Context(), f.as(t, limited), keys.Wish{Name: "x",
			Scopes: []string{"app:read"}}); bridge.CodeOf(err) != "minter_limited" {
			t.Errorf("a key with a number of uses mints: %v", err)
		}
	})
}

func TestOnlyAPersonIsAnAdmin(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		never := keys.Wish{Name: "x", ExpiresIn: "never"}
		if _, _, err := f.Mint(t.Context(), admin, never); err != nil {
			t.Error(err)
		}
		if _, _, err := f.Mint(t.Context(), person("acme", bridge.RoleMember), never); bridge.CodeOf(err) != "expiry_admin" {
			t.Errorf("a member creates a key that never expires: %v", err)
		}
		immortal := f.mint(t, admin, keys.Wish{Preset: "full", ExpiresIn: "never"})
		if _, _, err := f.Mint(t.Context(), f.as(t, immortal), never); bridge.CodeOf(err) != "expiry_admin" {
			t.Errorf("a key creates a key that never expires: %v", err)
		}
		// Anyone who holds a key can sign a token that names any role. It counts only for keys of a connection, up to the role
		// of the person who connected.
		for _, c := range []struct {
			kind bridge.KeyKind
			role bridge.Role
			want bridge.Role
		}{{bridge.KindLive, "", ""}, {bridge.KindSK, bridge.RoleMember, bridge.RoleMember}, {bridge.KindSK, bridge.RoleAdmin, bridge.RoleAdmin}} {
			key, _ := f.create(t, func(n *keys.NewKey) { n.Kind, n.Role = c.kind, c.role })
			claims := bridge.AccessClaims{Subject: "ann@example.com", Scope: "*", Role: bridge.RoleOwner,
				Times: bridge.NewTimes(f.clock.now(), bridge.MaxAccessTokenLife)}
			token, err := key.SignAccess(claims.ForServer(self))
			if err != nil {
				t.Fatal(err)
			}
			if id, err := f.verify(t, token); err != nil || id.Role != c.want {
				t.Errorf("a %s key of role %q signs a token of role %q (%v), want %q", c.kind, c.role, id.Role, err, c.want)
			}
		}
	})
}

func TestEnvironmentsDoNotMeet(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		live := f.mint(t, admin, keys.Wish{Preset: "full"})
		test := f.mint(t, admin, keys.Wish{Preset: "full", Kind: bridge.KindTest})
		by := f.as(t, test)
		if by.Who.Environment != bridge.EnvironmentTest {
			t.Errorf("a test key's environment is %q", by.Who.Environment)
		}
		list, _, err := f.List(t.Context(), f.ViewOf(by.Who), "", 0)
		if err != nil || len(list) != 1 || list[0].ID != test.ID {
			t.Errorf("a test key sees %d keys (%v), want itself", len(list), err)
		}
		list, _, err = f.List(t.Context(), f.ViewOf(admin.Who), "", 0)
		if err != nil || len(list) != 2 {
			t.Errorf("a person sees %d keys (%v), want both", len(list), err)
		}
		if _, err := f.Get(t.Context(), f.ViewOf(by.Who), live.ID); bridge.CodeOf(err) != "key_unknown" {
			t.Errorf("a test key reads a live one: %v", err)
		}
		if _, err := f.Revoke(t.Context(), by, live.ID, ""); bridge.CodeOf(err) != "key_unknown" {
			t.Errorf("a test key revokes a live one: %v", err)
		}
		child := f.mint(t, by, keys.Wish{Scopes: []string{"app:read"}})
		if id := f.lives(t, child); id.Environment != bridge.EnvironmentTest {
			t.Errorf("a test key mints a key of %q", id.Environment)
		}
	})
}

func TestLimits(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		key := f.mint(t, admin, keys.Wish{AllowFrom: []string{"192.0.2.0/24", "2001:db8::/32"}})
		for address, ok := range map[string]bool{"192.0.2.9": true, "192.0.3.1": false, "2001:db8:1::1": true, "2001:db9::1": false,
			"::ffff:192.0.2.9": true, "": false, "junk": false} {
			p, _ := bridge.ParsePresented(key.Text())
			id, err := f.Verify(t.Context(), p, bridge.Use{Address: address})
			if (err == nil) != ok || (ok && !id.Metered) {
				t.Errorf("from %q: %v", address, cause(err))
			}
			if !ok && (bridge.CodeOf(err) != "key_invalid" || cause(err) != "key_address") {
				t.Errorf("the refusal says %v", err)
			}
		}
		slow := f.mint(t, admin, keys.Wish{Rate: "3/m"})
		id := f.lives(t, slow)
		for range 3 {
			if err := f.Spend(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
		err := f.Spend(t.Context(), id)
		if e := bridge.AsError(err); e.Kind != bridge.TooMany || e.RetryAfter != 20*time.Second {
			t.Errorf("the fourth use in a minute: %v %v", err, e.RetryAfter)
		}
		f.clock.advance(20 * time.Second)
		if err := f.Spend(t.Context(), id); err != nil {
			t.Errorf("when it may be used again: %v", err)
		}
	})
}

func TestMaxUsesAreExact(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		key := f.mint(t, admin, keys.Wish{MaxUses: 5})
		id := f.lives(t, key)
		var passed atomic.Int64
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				if err := f.Spend(context.Background(), id); err == nil {
					passed.Add(1)
				} else if cause(err) != "key_used_up" {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if passed.Load() != 5 {
			t.Errorf("%d uses passed, want 5", passed.Load())
		}
		f.dies(t, key, "key_used_up")
		if r, err := f.Get(t.Context(), acme, key.ID); err != nil || r.Uses != 5 || r.Status(f.clock.now()) != record.StatusUsedUp {
			t.Errorf("the record: %v %+v", err, r)
		}
	})
}

func TestLeaked(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		rotated := f.mint(t, admin, keys.Wish{})
		fresh, _, err := f.Rotate(t.Context(), admin, rotated.ID, keys.Rotation{})
		if err != nil {
			t.Fatal(err)
		}
		leak := func(key bridge.Key) bool {
			t.Helper()
			_, ours, err := f.Leaked(t.Context(), audit.Actor{ID: "leak report"}, key.Text(), "https://example.com/gist")
			if err != nil {
				t.Fatal(err)
			}
			return ours
		}
		if !leak(rotated) {
			t.Error("the secret before the rotation is not known")
		}
		f.dies(t, rotated, "key_secret")
		f.lives(t, fresh)
		if !leak(fresh) {
			t.Error("the key is not known")
		}
		f.dies(t, fresh, "key_revoked")
		if r, err := f.Get(t.Context(), acme, fresh.ID); err != nil || r.EndReason != "leaked: https://example.com/gist" {
			t.Errorf("the reason: %v %q", err, r.EndReason)
		}
		if leak(bridge.NewKey(bridge.KindLive, fresh.ID)) {
			t.Error("a forged key is taken for one of ours")
		}
	})
}

func TestExpiryWarnings(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		key := f.mint(t, admin, keys.Wish{ExpiresIn: "90d"})
		short := f.mint(t, admin, keys.Wish{ExpiresIn: "12h"})
		if id := f.lives(t, short); !id.WarnFrom.IsZero() {
			t.Error("a key that never lives longer than a warning is warned of")
		}
		id := f.lives(t, key)
		if want := id.ExpiresAt.Add(-30 * 24 * time.Hour); !id.WarnFrom.Equal(want) {
			t.Errorf("the warning begins at %v, want %v", id.WarnFrom, want)
		}
		start := f.clock.now()
		for _, c := range []struct {
			day  int
			want []string
		}{{50, nil}, {61, []string{"30"}}, {70, []string{"30"}}, {89, []string{"30", "1"}}, {89, []string{"30", "1"}}} {
			f.clock.set(start.Add(time.Duration(c.day)*24*time.Hour + time.Hour))
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error)
			go func() { ran <- f.Run(ctx) }()
			var got []string
			for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
				entries, _, err := audit.List(t.Context(), f.db, audit.Query{Org: "acme", Action: "key.expiring"})
				if err != nil {
					t.Fatal(err)
				}
				got = nil
				for _, e := range slices.Backward(entries) {
					got = append(got, e.Details["days"])
				}
				if len(got) >= len(c.want) {
					break
				}
			}
			cancel()
			if err := <-ran; err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("after %d days the warnings are %v, want %v", c.day, got, c.want)
			}
		}
	})
}
