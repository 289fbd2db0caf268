package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/registry"
)

// auditOf are the entries of one action in the server's audit log.
func (w *world) auditOf(action string) []api.AuditEntry {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url.Join("/ace/v1/audit?action="+action), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.operatorToken.Reveal())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var list api.List[api.AuditEntry]
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

// A shared connection with a ceiling at a real server: members have no more than it, and the server's audit log says who
// called and over which connection.
func TestSharedWithACeiling(t *testing.T) {
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	ctx := t.Context()
	connection := w.connect(w.admin)
	deputy := w.person("deputy", bridge.RoleAdmin)
	if status, _ := w.call(w.admin, connection.ID, "/whoami"); status != http.StatusOK {
		t.Fatal(status)
	}
	patch := api.ConnectionPatch{Visibility: new(registry.Organization), Ceiling: api.CeilingPatch{Given: true, To: &api.Ceiling{Preset: "read-only"}}}
	if c, err := w.admin.Patch(ctx, connection.ID, patch); err != nil || !slices.Equal(c.Ceiling, []string{"app:read"}) {
		t.Fatalf("%+v %v", c, err)
	}
	for name, c := range map[string]struct {
		who  *api.CloudClient
		want string
	}{"the owner": {w.admin, "admin@acme.test app:* audit:read key:*"}, "an admin": {deputy, "deputy@acme.test app:read"}, "a member": {w.member, "member@acme.test app:read"}} {
		if status, body := w.call(c.who, connection.ID, "/whoami"); status != 200 || body != c.want {
			t.Errorf("%s: %d %q, want %q", name, status, body, c.want)
		}
	}
	create := func() error {
		credential, err := deputy.Credential(ctx, connection.ID)
		if err != nil {
			t.Fatal(err)
		}
		_, err = api.NewServerClient(w.url, credential.Value.Secret, api.ClientConfig{}).CreateKey(ctx, api.CreateKeyRequest{Name: "x", Scopes: []string{"app:read"}})
		return err
	}
	if err := create(); bridge.AsError(err).Kind != bridge.Forbidden {
		t.Errorf("an admin beyond the ceiling: %v", err)
	}
	if _, err := w.admin.Patch(ctx, connection.ID, api.ConnectionPatch{Ceiling: api.CeilingPatch{Given: true, To: &api.Ceiling{Scopes: []string{"app:*", "key:create"}}}}); err != nil {
		t.Fatal(err)
	}
	if err := create(); err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"key.create", "access.refuse"} {
		entries := slices.DeleteFunc(w.auditOf(action), func(e api.AuditEntry) bool { return e.Actor != "user:deputy@acme.test" })
		if len(entries) != 1 || entries[0].Details["connection"] != connection.ID || entries[0].Details["key"] == "" {
			t.Errorf("%s: %+v", action, entries)
		}
	}
}

// On a terminal it is said how many people lose access, and asked once.
func TestUnshareAsksOnATerminal(t *testing.T) {
	w, env := threeConnections(t)
	connections, err := w.admin.Connections(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := connections[0]
	if _, err := w.admin.Patch(t.Context(), c.ID, api.ConnectionPatch{Visibility: new(registry.Organization)}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		answer, visibility string
		code               int
	}{{"n", registry.Organization, 1}, {"", registry.Organization, 1}, {"y", registry.Private, 0}} {
		x := onTerminal(t, 120, env, "connections", "unshare", c.Name)
		x.expect("Make " + c.Name + " private again? 2 people lose access, and what they have open ends. [y/N]")
		x.press(step.answer + enter)
		x.exits(step.code)
		if c, err := w.admin.Connection(t.Context(), c.ID); err != nil || c.Visibility != step.visibility {
			t.Errorf("after %q it is %s (%v)", step.answer, c.Visibility, err)
		}
	}
}
