package keys_test

import (
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
)

// connectionKey creates a key the way an exchange does, without scopes about keys, and uses it for the first time.
func (f fixture) connectionKey(t *testing.T) bridge.Key {
	t.Helper()
	key, _ := f.create(t, func(n *keys.NewKey) {
		n.Kind, n.Role, n.Scopes = bridge.KindSK, bridge.RoleAdmin, bridge.Scopes{"app:read"}
	})
	f.lives(t, key)
	return key
}

// token returns an access token derived from a key, with all scopes and the highest role.
func (f fixture) token(t *testing.T, key bridge.Key) keys.By {
	t.Helper()
	text, err := key.SignAccess(bridge.AccessClaims{Times: bridge.NewTimes(f.clock.now(), bridge.MaxAccessTokenLife),
		Subject: "bob@example.com", Scope: "*", Role: bridge.RoleOwner}.ForServer(self))
	if err != nil {
		t.Fatal(err)
	}
	id, err := f.verify(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return keys.By{Actor: audit.Actor{ID: "user:" + id.Subject, Org: id.Org}, Who: id}
}

var once = bridge.NewSecret("an idempotency key of the cloud")

// TestConnectionKeyRotatesItself checks that a connection's key can renew itself repeatedly, each time for as long as it was
// given.
func TestConnectionKeyRotatesItself(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		key := f.connectionKey(t)
		for range 5 {
			f.clock.advance(80 * 24 * time.Hour)
			w := keys.Rotation{Grace: "7d", Idempotency: bridge.NewSecret(bridge.RandomToken(32))}
			fresh, record, err := f.Rotate(t.Context(), f.as(t, key), key.ID, w)
			if err != nil || fresh.ID != key.ID || fresh.Kind != bridge.KindSK {
				t.Fatalf("rotate: %v", err)
			}
			if want := f.clock.now().Add(bridge.DefaultKeyLife); !record.ExpiresAt.Equal(want) || record.Scopes.String() != "app:read" {
				t.Errorf("the new secret is valid until %s and for %v, want %s", record.ExpiresAt, record.Scopes, want)
			}
			if behind, err := f.Behind(t.Context(), f.lives(t, key)); err != nil || !behind.ExpiresAt.Equal(record.GraceUntil) || !behind.IssuedAt.IsZero() {
				t.Errorf("by the old secret the key is valid from %s until %s (%v)", behind.IssuedAt, behind.ExpiresAt, err)
			}
			if behind, err := f.Behind(t.Context(), f.token(t, fresh).Who); err != nil || !behind.ExpiresAt.Equal(record.ExpiresAt) ||
				!behind.IssuedAt.Equal(f.clock.now()) {
				t.Errorf("by the new secret the key is valid from %s until %s (%v)", behind.IssuedAt, behind.ExpiresAt, err)
			}
			again, _, err := f.Rotate(t.Context(), f.as(t, key), key.ID, w)
			if err != nil || !again.Text().Equal(fresh.Text()) {
				t.Errorf("the old secret does not find out the answer that was lost: %v", err)
			}
			if _, _, err := f.Rotate(t.Context(), f.as(t, key), key.ID,
				keys.Rotation{Grace: "7d"}); bridge.CodeOf(err) != "minter_rotated" {
				t.Errorf("a secret that has been replaced rotates: %v", err)
			}
			key = fresh
		}
		entries, _, err := audit.List(t.Context(), f.db, audit.Query{Org: "acme", Action: "key.rotate"})
		if err != nil || len(entries) != 5 || entries[0].Actor != "key:"+key.ID.String() {
			t.Errorf("the audit log has %+v (%v)", entries, err)
		}
	})
}

func TestConnectionKeyLivesNoLongerThanGiven(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		short, _ := f.create(t, func(n *keys.NewKey) { n.Kind, n.ExpiresAt = bridge.KindSK, f.clock.now().Add(10*24*time.Hour) })
		long, _ := f.create(t, func(n *keys.NewKey) { n.Kind, n.ExpiresAt = bridge.KindSK, f.clock.now().Add(400*24*time.Hour) })
		for _, c := range []struct {
			key       *bridge.Key
			expiresIn string
			code      bridge.Code
			days      time.Duration
		}{
			{&short, "11d", "expiry_ceiling", 0}, {&short, "never", "expiry_ceiling", 0}, {&short, "2040-01-01", "expiry_malformed", 0},
			{&short, "", "", 10}, {&short, "5d", "", 5}, {&long, "91d", "expiry_ceiling", 0}, {&long, "", "", 90},
		} {
			fresh, record, err := f.Rotate(t.Context(), f.as(t, *c.key), c.key.ID, keys.Rotation{Grace: "0s", ExpiresIn: c.expiresIn})
			if bridge.CodeOf(err) != c.code {
				t.Errorf("to %q: %v, want %q", c.expiresIn, err, c.code)
			}
			if err != nil {
				continue
			}
			if want := f.clock.now().Add(c.days * 24 * time.Hour); !record.ExpiresAt.Equal(want) {
				t.Errorf("to %q: valid until %s, want %s", c.expiresIn, record.ExpiresAt, want)
			}
			*c.key = fresh
		}
	})
}

// TestNobodyElseRotatesAConnectionKey checks that only the key itself gets a new secret: not a member whose token names every
// scope, not an admin in person, and not another key of the same person's.
func TestNobodyElseRotatesAConnectionKey(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		key, _ := f.create(t, func(n *keys.NewKey) { n.Kind, n.Role, n.Scopes = bridge.KindSK, bridge.RoleOwner, bridge.Scopes{"*"} })
		f.lives(t, key)
		other, _ := f.create(t, func(n *keys.NewKey) { n.Kind, n.Role, n.Scopes = bridge.KindSK, bridge.RoleOwner, bridge.Scopes{"*"} })
		f.lives(t, other)
		live, _ := f.create(t, func(n *keys.NewKey) { n.Scopes = bridge.Scopes{"*"} })
		w := keys.Rotation{Idempotency: once}
		if _, _, err := f.Rotate(t.Context(), f.as(t, key), key.ID, w); err != nil { // what a retry would reveal
			t.Fatal(err)
		}
		for name, by := range map[string]keys.By{"a member": f.token(t, key), "an admin": admin, "another connection": f.as(t, other),
			"a member of another connection": f.token(t, other), "a live key": f.as(t, live)} {
			if _, _, err := f.Rotate(t.Context(), by, key.ID, w); bridge.CodeOf(err) != "key_of_connection" {
				t.Errorf("%s rotates it: %v", name, err)
			}
			if _, _, err := f.Revive(t.Context(), by, key.ID, ""); bridge.CodeOf(err) != "key_of_connection" {
				t.Errorf("%s revives it: %v", name, err)
			}
		}
		if _, _, err := f.Revive(t.Context(), f.as(t, other), other.ID, ""); bridge.CodeOf(err) != "key_of_connection" {
			t.Errorf("a connection's key revives itself: %v", err)
		}
		if _, _, err := f.Rotate(t.Context(), f.as(t, live), live.ID,
			keys.Rotation{ExpiresIn: "365d"}); bridge.CodeOf(err) != "expiry_ceiling" {
			t.Errorf("a live key prolongs itself: %v", err)
		}
	})
}

// TestDeadConnectionKeyDoesNotRotate checks that an identity verified before the key ended does not help: the rule reads the row.
func TestDeadConnectionKeyDoesNotRotate(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		for want, end := range map[bridge.Code]func(bridge.Key) error{
			"key_revoked":  func(k bridge.Key) error { _, err := f.Revoke(t.Context(), admin, k.ID, ""); return err },
			"key_disabled": func(k bridge.Key) error { _, err := f.Disable(t.Context(), admin, k.ID); return err },
			"key_expired":  func(bridge.Key) error { f.clock.advance(91 * 24 * time.Hour); return nil },
		} {
			key := f.connectionKey(t)
			by := f.as(t, key)
			if _, _, err := f.Rotate(t.Context(), by, key.ID, keys.Rotation{Idempotency: once}); err != nil {
				t.Fatal(err)
			}
			if err := end(key); err != nil {
				t.Fatal(err)
			}
			if _, _, err := f.Rotate(t.Context(), by, key.ID, keys.Rotation{Idempotency: once}); bridge.CodeOf(err) != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
	})
}
