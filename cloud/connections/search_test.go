package connections_test

import (
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
)

func TestSearchConnections(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ann := f.Person("ann@acme.test", "acme", bridge.RoleAdmin)
		bob := f.Person("bob@acme.test", "acme", bridge.RoleMember)
		eve := f.Person("eve@evil.test", "evil", bridge.RoleOwner)
		a := f.Register(ann, "https://a.example", "key")
		f.Patch(ann, a.ID, api.ConnectionPatch{Name: new("100%_sure!")})
		f.Register(bob, "https://b.example/Path", "key")
		f.Register(eve, "https://a.example", "key")
		for _, c := range []struct {
			search connections.Search
			want   int
		}{
			{connections.Search{}, 1},
			{connections.Search{Text: "A.EXAMPLE"}, 1},
			{connections.Search{Text: "ann@"}, 1},
			{connections.Search{Text: "%_SURE!"}, 1},
			{connections.Search{Text: "%"}, 1},
			{connections.Search{Text: "_"}, 1},
			{connections.Search{Text: "0_s"}, 0},
			{connections.Search{Text: "b.example"}, 0}, // bob's own
			{connections.Search{Status: connections.StatusUnknown}, 1},
			{connections.Search{Status: connections.StatusOnline}, 0},
			{connections.Search{Text: "sure", Status: connections.StatusUnknown}, 1},
		} {
			found, _, err := f.Connections.SearchConnections(t.Context(), ann, c.search, "", 0)
			if err != nil || len(found) != c.want {
				t.Errorf("%+v finds %d, want %d: %v", c.search, len(found), c.want, err)
			}
		}
		for _, s := range []connections.Search{{Text: "\x00"}, {Status: "fine"}} {
			if _, _, err := f.Connections.SearchConnections(t.Context(), ann, s, "", 0); bridge.AsError(err).Kind != bridge.Invalid {
				t.Errorf("%+v: %v", s, err)
			}
		}
	})
}

// Users counts the people who would lose a connection.
func TestUsers(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ann := f.Person("ann@acme.test", "acme", bridge.RoleAdmin)
		bob := f.Person("bob@acme.test", "acme", bridge.RoleMember)
		cid := f.Person("cid@acme.test", "acme", bridge.RoleViewer)
		c := f.Register(ann, "https://a.example", "key")
		users := func(want int) {
			t.Helper()
			if n, err := f.Connections.Users(t.Context(), ann, c.ID); err != nil || n != want {
				t.Errorf("%d users, want %d: %v", n, want, err)
			}
		}
		users(1)
		f.Patch(ann, c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)})
		users(3)
		if err := f.Limit(ann, c.ID, bob.UserID, storetest.Nothing()); err != nil {
			t.Fatal(err)
		}
		users(2)
		if _, err := f.Connections.Users(t.Context(), bob, c.ID); bridge.CodeOf(err) != "connection_unknown" {
			t.Errorf("one who does not see it counts: %v", err)
		}
		if n, err := f.Connections.Users(t.Context(), cid, c.ID); err != nil || n != 2 {
			t.Errorf("one who sees it counts %d: %v", n, err)
		}
	})
}
