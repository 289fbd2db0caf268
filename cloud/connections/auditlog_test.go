package connections_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/connections"
)

// The audit log of one connection is shown to its owner and to admins only, with the names that each may see.
func TestConnectionAudit(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		owner, admin := f.Person("max@a.test", "acme", bridge.RoleMember), f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		rival := f.Person("rita@b.test", "rival", bridge.RoleOwner)
		own, shared := f.Register(owner, "https://max.a.test", "a-plain-key"), f.Register(admin, "https://ann.a.test", "another-plain-key")
		for _, target := range []string{"connection:" + own.ID, "connection:" + shared.ID} {
			if err := f.Accounts.Note(ctx, admin.Actor("192.0.2.7", "r1"), "connection.relay", target, nil); err != nil {
				t.Fatal(err)
			}
		}
		entries, _, err := f.Connections.ConnectionAudit(ctx, owner, own.ID, audit.Query{Target: "connection:" + shared.ID, Org: "rival"})
		if err != nil || len(entries) != 2 || entries[0].Actor != "user:ann@a.test" || entries[0].Address != "" || entries[0].RequestID != "r1" {
			t.Errorf("the owner reads %+v (%v)", entries, err)
		}
		if entries, _, err := f.Connections.ConnectionAudit(ctx, admin, shared.ID, audit.Query{}); err != nil || len(entries) != 2 || entries[0].Address != "192.0.2.7" {
			t.Errorf("an admin reads %+v (%v)", entries, err)
		}
		if _, _, err := f.Connections.ConnectionAudit(ctx, owner, shared.ID, audit.Query{}); bridge.CodeOf(err) != "connection_unknown" {
			t.Errorf("what they do not see: %v", err)
		}
		if _, err := f.Connections.Patch(ctx, admin.As(admin.Actor("", "")), shared.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Connections.ConnectionAudit(ctx, owner, shared.ID, audit.Query{}); bridge.CodeOf(err) != "audit_owner" {
			t.Errorf("what they only use: %v", err)
		}
		names, err := f.Connections.ConnectionNames(ctx, owner, []string{own.ID, shared.ID, "none"})
		if diff := cmp.Diff(map[string]string{own.ID: "max.a.test", shared.ID: "ann.a.test"}, names); diff != "" || err != nil {
			t.Errorf("names: %s %v", diff, err)
		}
		if names, err := f.Connections.ConnectionNames(ctx, rival, []string{own.ID, shared.ID}); len(names) != 0 || err != nil {
			t.Errorf("a rival learns %v %v", names, err)
		}
	})
}
