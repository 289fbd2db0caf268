package scenario

import (
	"net/http"
	"slices"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/e2e/world"
)

// A shared connection with a ceiling at a real server: members have no more than it, and the server's audit log says who
// called and over which connection.
func TestSharedWithACeiling(t *testing.T) {
	t.Parallel()
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	ctx := t.Context()
	connection := w.Connect(w.Admin)
	deputy := w.Person("deputy", bridge.RoleAdmin)
	if status, _ := w.Call(w.Admin, connection.ID, "/whoami"); status != http.StatusOK {
		t.Fatal(status)
	}
	patch := api.ConnectionPatch{Visibility: new(connections.Organization), Ceiling: api.CeilingPatch{Given: true, To: &api.Ceiling{Preset: "read-only"}}}
	if c, err := w.Admin.Patch(ctx, connection.ID, patch); err != nil || !slices.Equal(c.Ceiling, []string{"app:read"}) {
		t.Fatalf("%+v %v", c, err)
	}
	for name, c := range map[string]struct {
		who  *apiclient.Cloud
		want string
	}{"the owner": {w.Admin, "admin@acme.test app:* audit:read key:*"}, "an admin": {deputy, "deputy@acme.test app:read"}, "a member": {w.Member, "member@acme.test app:read"}} {
		if status, body := w.Call(c.who, connection.ID, "/whoami"); status != 200 || body != c.want {
			t.Errorf("%s: %d %q, want %q", name, status, body, c.want)
		}
	}
	create := func() error {
		credential, err := deputy.Credential(ctx, connection.ID)
		if err != nil {
			t.Fatal(err)
		}
		_, err = apiclient.NewServer(w.URL, credential.Value.Secret, api.ClientConfig{}).CreateKey(ctx, api.CreateKeyRequest{Name: "x", Scopes: []string{"app:read"}})
		return err
	}
	if err := create(); bridge.AsError(err).Kind != bridge.Forbidden {
		t.Errorf("an admin beyond the ceiling: %v", err)
	}
	if _, err := w.Admin.Patch(ctx, connection.ID, api.ConnectionPatch{Ceiling: api.CeilingPatch{Given: true, To: &api.Ceiling{Scopes: []string{"app:*", "key:create"}}}}); err != nil {
		t.Fatal(err)
	}
	if err := create(); err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"key.create", "access.refuse"} {
		entries := slices.DeleteFunc(w.AuditOf(action), func(e api.AuditEntry) bool { return e.Actor != "user:deputy@acme.test" })
		if len(entries) != 1 || entries[0].Details["connection"] != connection.ID || entries[0].Details["key"] == "" {
			t.Errorf("%s: %+v", action, entries)
		}
	}
}
