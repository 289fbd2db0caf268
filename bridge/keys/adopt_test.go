package keys_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys"
)

// membersMint is a catalogue in which members may create keys.
var membersMint = func() catalogue.Catalogue {
	c, err := catalogue.Parse([]byte(`{name: x, scopes: {"app:read": x, "app:write": x}, presets: {full: {scopes: ["*"], capped: true}},
		default_preset: full, no_match: authenticated, admin_only: {expiries: [never]}, roles: {viewer: {scopes: ["app:read"]},
		member: {scopes: ["app:*", "key:*"]}, admin: {scopes: ["*"]}, owner: {scopes: ["*"]}}}`))
	if err != nil {
		panic(err)
	}
	return c
}()

// TestUpgradeGivesKeysALineage checks that keys of an older version get the lineage that follows from what was recorded.
func TestUpgradeGivesKeysALineage(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		sk := f.shared(t)
		admins, _ := f.create(t, func(n *keys.NewKey) { connection(n); n.Owner = "ann" })
		old := func(actor audit.Actor, change func(*keys.NewKey)) uuid.UUID {
			n := keys.NewKey{Kind: bridge.KindLive, Name: "old", Org: "acme", Owner: strings.TrimPrefix(actor.ID, "user:"),
				Scopes: bridge.Scopes{"app:*"}, ExpiresAt: f.clock.now().Add(bridge.DefaultKeyLife)}
			if change != nil {
				change(&n)
			}
			actor.Org = "acme"
			_, r, err := f.Create(t.Context(), actor, n)
			if err != nil {
				t.Fatal(err)
			}
			return r.ID
		}
		bob := audit.Actor{ID: "user:bob", Key: sk.ID.String()}
		known := old(bob, nil)
		byKey := old(audit.Actor{ID: "key:" + sk.ID.String()}, nil)
		unknown := old(audit.Actor{ID: "user:eve"}, nil)
		gone := old(audit.Actor{ID: "user:dan", Key: uuid.NewString()}, nil)
		want := map[uuid.UUID]string{known: "personal " + sk.ID.String(), byKey: "personal " + sk.ID.String(), unknown: "personal unknown",
			gone: "personal unknown", sk.ID: "", admins.ID: ""}
		want[old(audit.Actor{ID: "operator:ops"}, func(n *keys.NewKey) { n.Owner = "ops" })] = "organization"
		want[old(audit.Actor{ID: "user:ann", Key: sk.ID.String()}, nil)] = "organization"
		forever := old(bob, nil)
		if _, err := f.db.ExecContext(t.Context(), "UPDATE api_keys SET expires_at = 0 WHERE id = $1", forever.String()); err != nil {
			t.Fatal(err)
		}
		want[forever] = "organization"
		if _, err := f.db.ExecContext(t.Context(), "UPDATE api_keys SET lineage = ''"); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		a, err := keys.New(t.Context(), f.db, keys.Config{Servers: []bridge.ServerURL{self}, Catalogue: membersMint, Now: f.clock.now},
			slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		f = fixture{a, f.db, f.clock}
		for id, lineage := range want {
			r, err := f.Get(t.Context(), acme, id)
			got := r.Lineage.Kind
			switch {
			case r.Lineage.ParentUnknown:
				got += " unknown"
			case r.Lineage.Parent != uuid.Nil:
				got += " " + r.Lineage.Parent.String()
			}
			if err != nil || got != lineage {
				t.Errorf("%s: %q (%v), want %q", r.CreatedBy, got, err, lineage)
			}
		}
		if !strings.Contains(log.String(), unknown.String()) || !strings.Contains(log.String(), gone.String()) || strings.Contains(log.String(), known.String()) {
			t.Errorf("the log lists %s", log.String())
		}
		// A withdrawal over any connection reaches its subject's key if that key's parent is not known.
		if err := f.state(t, admins, bridge.Withdrawal{Number: 2, Until: map[string]int64{"eve": f.clock.now().Unix()}}); err != nil {
			t.Fatal(err)
		}
		if r, err := f.Get(t.Context(), acme, unknown); err != nil || r.EndedAt.IsZero() {
			t.Errorf("eve's key lives on (%v)", err)
		}
		if r, err := f.Get(t.Context(), acme, gone); err != nil || !r.EndedAt.IsZero() {
			t.Errorf("dan's key died (%v)", err)
		}
		orphans, err := f.Orphans(t.Context())
		listed, _, err2 := f.List(t.Context(), keys.View{Org: "acme", Orphans: true}, "", 0)
		if err != nil || err2 != nil || len(orphans) != 1 || len(listed) != 1 || listed[0].ID != gone || !f.API(listed[0]).ParentUnknown {
			t.Errorf("%d are known, %d listed (%v, %v)", len(orphans), len(listed), err, err2)
		}
	})
}
