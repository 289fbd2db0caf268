package keys_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// TestNothingIsMadeWithWhatIsTakenAway checks that no key is created if the caller's credential is withdrawn or revoked before
// the new key is stored. That includes organization keys, which would outlive it.
func TestNothingIsMadeWithWhatIsTakenAway(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		boss := bridge.AccessClaims{Subject: "bob", Role: bridge.RoleAdmin, Number: 1}
		for name, c := range map[string]struct {
			take func(t *testing.T, sk bridge.Key) error
			want bridge.Code
		}{
			"withdrawn": {func(t *testing.T, sk bridge.Key) error { return f.state(t, sk, bridge.Withdrawal{Number: 2}) }, "token_withdrawn"},
			"limited": {func(t *testing.T, sk bridge.Key) error {
				return f.state(t, sk, bridge.Withdrawal{Number: 2, Keys: map[string]bridge.KeyAccess{"bob": {Scope: "app:read"}}})
			}, "token_withdrawn"},
			"revoked": {func(t *testing.T, sk bridge.Key) error {
				_, err := f.Revoke(t.Context(), admin, sk.ID, "x")
				return err
			}, "parent_revoked"},
		} {
			for _, lineage := range []string{record.LineagePersonal, record.LineageOrganization} {
				sk := f.shared(t)
				by := f.through(t, sk, boss)
				if _, _, err := f.Mint(t.Context(), by, keys.Wish{Name: "x", Preset: "app", Lineage: lineage}); err != nil {
					t.Fatalf("%s, %s: before: %v", name, lineage, err)
				}
				if err := c.take(t, sk); err != nil {
					t.Fatal(err)
				}
				key, _, err := f.Mint(t.Context(), by, keys.Wish{Name: "x", Preset: "app", Lineage: lineage})
				if bridge.CodeOf(err) != c.want {
					t.Errorf("%s: a key that is %s is made: %v %v", name, lineage, key.ID, err)
				}
				_, other := f.create(t, func(n *keys.NewKey) { n.Owner = "bob" })
				if _, _, err := f.Revive(t.Context(), by, other.ID, "1h"); bridge.CodeOf(err) != c.want {
					t.Errorf("%s: another key is revived: %v", name, err)
				}
				if _, err := f.Enable(t.Context(), by, other.ID); bridge.CodeOf(err) != c.want {
					t.Errorf("%s: another key is enabled: %v", name, err)
				}
			}
		}
	})
}

// shared creates the key of an admin's connection, with everything that members can have over it.
func (f fixture) shared(t *testing.T) bridge.Key {
	t.Helper()
	key, _ := f.create(t, connection)
	f.lives(t, key)
	return key
}

// through returns a member who calls with an access token of a key.
func (f fixture) through(t *testing.T, key bridge.Key, c bridge.AccessClaims) keys.By {
	t.Helper()
	c.Times = bridge.NewTimes(f.clock.now(), bridge.MaxAccessTokenLife)
	if c.Scope == "" {
		c.Scope = "*"
	}
	token, err := key.SignAccess(c.ForServer(self))
	if err != nil {
		t.Fatal(err)
	}
	id, err := f.verify(t, token)
	if err != nil {
		t.Fatal(cause(err))
	}
	return keys.By{Actor: audit.Actor{ID: "user:" + id.Subject, Org: id.Org, Key: id.KeyID.String()}, Who: id}
}

// state sends a withdrawal as the cloud signs it.
func (f fixture) state(t *testing.T, key bridge.Key, w bridge.Withdrawal) error {
	t.Helper()
	if w.Until == nil {
		w.Until = map[string]int64{"bob": f.clock.now().Unix()}
	}
	statement, err := key.SignWithdrawal(w, f.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Withdraw(t.Context(), audit.Actor{}, statement)
	return err
}

func (f fixture) entries(t *testing.T, action string) []string {
	t.Helper()
	entries, _, err := audit.List(t.Context(), f.db, audit.Query{Org: "acme", Action: action})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Target)
	}
	return out
}

var bob = bridge.AccessClaims{Subject: "bob"}

func TestOnlyAKeyThatMayActAsNamesOthers(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		plain := f.mint(t, admin, keys.Wish{Preset: "full"})
		acting := f.mint(t, admin, keys.Wish{Preset: "full", Scopes: []string{"key:act-as"}})
		member, _ := f.create(t, func(n *keys.NewKey) { n.Scopes = bridge.Scopes{"*"} })
		for _, c := range []struct {
			name    string
			key     bridge.Key
			subject string
			want    bridge.Code
		}{
			{"a connection's", f.shared(t), "bob", ""}, {"one that may", acting, "bob", ""}, {"a plain one, its owner", plain, "ops", ""},
			{"a plain one, another", plain, "bob", "key_cannot_act_as"}, {"one with all scopes", member, "bob", "key_cannot_act_as"},
		} {
			token, err := c.key.SignAccess(bridge.AccessClaims{Times: bridge.NewTimes(f.clock.now(), time.Minute), Subject: c.subject,
				Scope: "*"}.ForServer(self))
			if err != nil {
				t.Fatal(err)
			}
			id, err := f.verify(t, token)
			if got := cause(errOr(err)); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
			if err == nil && id.Covers(bridge.ScopeActAs) {
				t.Errorf("%s: the token has the scope itself", c.name)
			}
		}
		for name, by := range map[string]keys.By{"the key": f.as(t, acting), "a token of it": f.through(t, acting, bridge.AccessClaims{
			Subject: "bob", Scope: "* key:act-as", Role: bridge.RoleOwner})} {
			if _, _, err := f.Mint(t.Context(), by, keys.Wish{Name: "x",
				Scopes: []string{"key:act-as"}}); bridge.CodeOf(err) != "scope_admin" {
				t.Errorf("%s passes it on: %v", name, err)
			}
		}
		if _, _, err := f.Revive(t.Context(), f.as(t, acting), acting.ID, ""); bridge.CodeOf(err) != "scope_admin" {
			t.Errorf("it gets itself a new secret: %v", err)
		}
	})
}

func errOr(err error) error {
	if err == nil {
		return &bridge.Error{}
	}
	return err
}

func TestLineageOfANewKey(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		sk := f.shared(t)
		terraform := f.mint(t, admin, keys.Wish{Preset: "full", Scopes: []string{"key:create-organization"}})
		plain := f.mint(t, admin, keys.Wish{Preset: "full"})
		for _, c := range []struct {
			name           string
			by             keys.By
			wish           string
			kind           string
			err            bridge.Code
			parent, oflife uuid.UUID
		}{
			{"an admin", admin, "", "organization", "", uuid.Nil, uuid.Nil},
			{"an admin, personal", admin, "personal", "personal", "", uuid.Nil, uuid.Nil},
			{"an admin through a connection", f.through(t, sk, bridge.AccessClaims{Subject: "ann", Role: bridge.RoleAdmin}), "", "organization", "", uuid.Nil, uuid.Nil},
			{"a member through a connection", f.through(t, sk, bob), "", "personal", "", sk.ID, sk.ID},
			{"a member who wants more", f.through(t, sk, bob), "organization", "", "lineage_organization", uuid.Nil, uuid.Nil},
			{"a connection's key", f.as(t, sk), "", "personal", "", sk.ID, sk.ID},
			{"a key", f.as(t, plain), "", "personal", "", plain.ID, plain.ID},
			{"a key that may", f.as(t, terraform), "", "organization", "", uuid.Nil, uuid.Nil},
			{"nonsense", admin, "royal", "", "lineage_unknown", uuid.Nil, uuid.Nil},
		} {
			_, r, err := f.Mint(t.Context(), c.by, keys.Wish{Name: "x", Scopes: []string{"app:read"}, Lineage: c.wish})
			if bridge.CodeOf(err) != c.err || err == nil && (r.Lineage.Kind != c.kind || r.Lineage.Parent != c.parent) {
				t.Errorf("%s: %+v, %v; want %s %s %s", c.name, r.Lineage, err, c.kind, c.parent, c.err)
			}
		}
	})
}

// TestPersonalKeysEndWithTheirParent checks that a personal key has what its ancestors and its subject have now, and that the
// whole tree ends with any of them.
func TestPersonalKeysEndWithTheirParent(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		sk := f.shared(t)
		child := f.mint(t, f.through(t, sk, bob), keys.Wish{Preset: "full", ExpiresIn: "365d"})
		grandchild := f.mint(t, f.as(t, child), keys.Wish{Preset: "full"})
		last := f.mint(t, f.as(t, grandchild), keys.Wish{Preset: "full"})
		if _, _, err := f.Mint(t.Context(), f.as(t, last), keys.Wish{Name: "x"}); bridge.CodeOf(err) != "lineage_too_long" {
			t.Errorf("a fifth: %v", err)
		}
		other := f.mint(t, f.through(t, sk, bridge.AccessClaims{Subject: "eve"}), keys.Wish{Preset: "full"})
		id := f.lives(t, last)
		if r, err := f.Get(t.Context(), acme, child.ID); err != nil || r.ExpiresAt.After(f.clock.now().Add(bridge.DefaultKeyLife)) {
			t.Errorf("the child outlives its parent: %v, %v", r.ExpiresAt, err)
		}
		list, _, err := f.List(t.Context(), keys.View{Org: "acme", Parent: sk.ID}, "", 0)
		if below, err2 := f.Descendants(t.Context(), acme, sk.ID); err != nil || err2 != nil || len(list) != 2 || len(below) != 4 {
			t.Errorf("%d children, %d descendants (%v, %v), want 2 and 4", len(list), len(below), err, err2)
		}
		// Disabled: all keys below are refused meanwhile.
		if _, err := f.Disable(t.Context(), admin, child.ID); err != nil {
			t.Fatal(err)
		}
		f.dies(t, grandchild, "parent_disabled")
		f.dies(t, last, "parent_disabled")
		if f.Alive(id) || len(f.Generations(last.ID)) != 0 {
			t.Error("a stream goes on below a disabled key")
		}
		if _, err := f.Enable(t.Context(), admin, child.ID); err != nil {
			t.Fatal(err)
		}
		if !f.Alive(f.lives(t, last)) {
			t.Error("enabled, and not alive")
		}
		// Revoked: all keys below die for good, each with its own entry.
		if _, err := f.Revoke(t.Context(), admin, child.ID, "gone"); err != nil {
			t.Fatal(err)
		}
		for _, k := range []bridge.Key{child, grandchild, last} {
			f.dies(t, k, "key_revoked")
			f.again(t).dies(t, k, "key_revoked")
		}
		if n := len(f.entries(t, "key.revoke")); n != 3 {
			t.Errorf("%d revocations are audited, want 3", n)
		}
		f.lives(t, other)
		statement, err := sk.SignRevocation("ann", "disconnected", f.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := f.RevokeSigned(t.Context(), audit.Actor{}, statement); err != nil {
				t.Fatal(err)
			}
		}
		f.dies(t, other, "key_revoked")
		if n := len(f.entries(t, "key.revoke")); n != 5 {
			t.Errorf("%d revocations are audited, want 5", n)
		}
	})
}

func TestPersonalKeysReach(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		parent := f.mint(t, admin, keys.Wish{Scopes: []string{"app:*", "key:*"}, AllowFrom: []string{"192.0.2.0/24"}, ExpiresIn: "10d"})
		child := f.mint(t, f.as(t, parent), keys.Wish{Scopes: []string{"app:*"}})
		id := f.lives(t, child)
		if !id.Metered || id.ExpiresAt.After(f.clock.now().Add(10*24*time.Hour)) {
			t.Errorf("the child reaches further than its parent: %+v", id)
		}
		if _, err := f.Verify(t.Context(), bridge.Presented{Value: child.Text()}, bridge.Use{Address: "203.0.113.1"}); err == nil {
			t.Error("the child works from elsewhere")
		}
		// If the parent's secret expires earlier, so does the child.
		if _, _, err := f.Revive(t.Context(), admin, parent.ID, "1d"); err != nil {
			t.Fatal(err)
		}
		if id := f.lives(t, child); !id.ExpiresAt.Equal(f.clock.now().Add(24 * time.Hour).UTC()) {
			t.Errorf("the child ends at %v", id.ExpiresAt)
		}
		f.clock.advance(25 * time.Hour)
		f.dies(t, child, "parent_expired")
		if _, _, err := f.Revive(t.Context(), admin, child.ID, ""); bridge.CodeOf(err) != "parent_expired" {
			t.Errorf("a child of an expired key is revived: %v", err)
		}
	})
}

// TestStatusFollowsTheAncestors checks that a key which is refused because of an ancestor is not shown as active, and says why.
func TestStatusFollowsTheAncestors(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		status := func(key bridge.Key) (string, *api.KeyCause) {
			t.Helper()
			r, err := f.Get(t.Context(), acme, key.ID)
			if err != nil {
				t.Fatal(err)
			}
			k := f.API(r)
			return k.Status, k.StatusCause
		}
		for _, c := range []struct {
			name string
			wish keys.Wish // for the first key
			spoil,
			mend func(keyID uuid.UUID) error
			want, hint string // of the keys below
		}{
			{"disabled", keys.Wish{}, func(id uuid.UUID) error { _, err := f.Disable(t.Context(), admin, id); return err },
				func(id uuid.UUID) error { _, err := f.Enable(t.Context(), admin, id); return err }, "disabled", "ace api-key enable "},
			{"expired", keys.Wish{ExpiresIn: "30d"}, func(id uuid.UUID) error {
				_, _, err := f.Revive(t.Context(), admin, id, "1h")
				f.clock.advance(2 * time.Hour)
				return err
			}, func(id uuid.UUID) error { _, _, err := f.Revive(t.Context(), admin, id, "30d"); return err }, "expired", "ace api-key revive "},
		} {
			w := c.wish
			w.Preset = "full"
			first := f.mint(t, admin, w)
			child := f.mint(t, f.as(t, first), keys.Wish{Preset: "full"})
			grandchild := f.mint(t, f.as(t, child), keys.Wish{Preset: "full"})
			if err := c.spoil(first.ID); err != nil {
				t.Fatal(c.name, err)
			}
			for _, key := range []bridge.Key{child, grandchild} {
				got, cause := status(key)
				if got != "parent_"+c.want || cause == nil || cause.KeyID != first.ID.String() || cause.Status != c.want ||
					cause.Hint != c.hint+first.ID.String() {
					t.Errorf("%s: %q for %+v", c.name, got, cause)
				}
				f.dies(t, key, bridge.Code(got))
			}
			if err := c.mend(first.ID); err != nil {
				t.Fatal(c.name, err)
			}
			if got, cause := status(grandchild); got != "active" || cause != nil {
				t.Errorf("%s, and mended: %q for %+v", c.name, got, cause)
			}
			// A key's own state takes precedence over its parent's.
			if _, err := f.Disable(t.Context(), admin, grandchild.ID); err != nil {
				t.Fatal(c.name, err)
			}
			if err := c.spoil(first.ID); err != nil {
				t.Fatal(c.name, err)
			}
			if got, _ := status(grandchild); got != "disabled" {
				t.Errorf("%s: one that is disabled itself is %q", c.name, got)
			}
		}
	})
}

// TestChildrenMoveToTheNewKey checks that the children of a replaced connection key move when the new one is confirmed, not
// before.
func TestChildrenMoveToTheNewKey(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		old := f.shared(t)
		child := f.mint(t, f.through(t, old, bridge.AccessClaims{Subject: "bob", Number: 9}), keys.Wish{Preset: "full"})
		replace := func(jti string) bridge.Key {
			key, _ := f.create(t, func(n *keys.NewKey) {
				connection(n)
				n.Replaces = old.ID
				n.Exchange = &keys.Exchange{Issuer: "https://cloud.test", JTI: jti, Expires: f.clock.now().Add(time.Minute)}
			})
			return key
		}
		parent := func() uuid.UUID {
			r, err := f.Get(t.Context(), acme, child.ID)
			if err != nil {
				t.Fatal(err)
			}
			return r.Lineage.Parent
		}
		replace("lapses")
		f.clock.advance(bridge.UnconfirmedLife)
		if parent() != old.ID {
			t.Error("the child moved to a key that lapsed")
		}
		key := replace("stays")
		f.lives(t, key)
		if parent() != key.ID {
			t.Error("the child did not move")
		}
		if _, err := f.Revoke(t.Context(), admin, old.ID, "replaced"); err != nil {
			t.Fatal(err)
		}
		f.lives(t, child)
		if err := f.state(t, key, bridge.Withdrawal{Number: 2}); err != nil {
			t.Fatal(err)
		}
		f.dies(t, child, "key_revoked")
	})
}

// TestLineageOnAnotherReplica checks that a second process knows within a second what a change of a parent means for its
// children.
func TestLineageOnAnotherReplica(t *testing.T) {
	dsn := sqldbtest.Postgres(t)
	open := func() fixture {
		db, err := sqldb.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		a, err := keys.New(t.Context(), db, keys.Config{Servers: []bridge.ServerURL{self}, Catalogue: catalogue.Builtin()},
			slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return fixture{a, db, &clock{t: time.Now()}}
	}
	one, two := open(), open()
	done := make(chan struct{})
	go func() { _ = two.Run(t.Context()); close(done) }()
	t.Cleanup(func() { <-done })
	sk := one.shared(t)
	child := one.mint(t, one.through(t, sk, bob), keys.Wish{Preset: "full"})
	grandchild := one.mint(t, one.as(t, child), keys.Wish{Preset: "full"})
	two.lives(t, grandchild)
	_, place, _, changed := two.Changes(0)
	within := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.After(sqldbtest.Slow(time.Second)); !ok(); {
			select {
			case <-changed:
				_, place, _, changed = two.Changes(place)
			case <-deadline:
				t.Errorf("%s: not known", what)
				return
			}
		}
	}
	if err := one.state(t, sk, bridge.Withdrawal{Number: 2, Keys: map[string]bridge.KeyAccess{"bob": {Scope: "app:read"}}}); err != nil {
		t.Fatal(err)
	}
	within("limited", func() bool { return two.lives(t, grandchild).Scopes.String() == "app:read" })
	state := func() bridge.Code { _, err := two.verify(t, grandchild.Text()); return cause(errOr(err)) }
	if _, err := one.Disable(t.Context(), admin, child.ID); err != nil {
		t.Fatal(err)
	}
	within("disabled", func() bool { return state() == "parent_disabled" })
	if _, err := one.Revoke(t.Context(), admin, sk.ID, "x"); err != nil {
		t.Fatal(err)
	}
	within("revoked", func() bool { return state() == "key_revoked" })
}
