package scenario

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/e2e/world"
)

func TestScenario(t *testing.T) {
	t.Parallel()
	for _, db := range []struct {
		name string
		dsn  func(testing.TB) string
	}{{"sqlite", sqldbtest.SQLite}, {"postgres", sqldbtest.Postgres}} {
		t.Run(db.name, func(t *testing.T) { scenario(t, world.New(t, db.dsn(t), db.dsn(t), nil)) })
	}
}

func scenario(t *testing.T, w *world.World) {
	ctx := t.Context()
	connection := w.Connect(w.Admin)
	if status, body := w.Call(w.Admin, connection.ID, "/whoami"); status != 200 || !strings.HasPrefix(body, "admin@acme.test ") {
		t.Fatalf("the first call answered %d %q", status, body)
	}
	checked, err := w.Admin.Check(ctx, connection.ID)
	if err != nil || checked.Status != "online" {
		t.Fatalf("the cloud's probe says %q %q (%v)", checked.Status, checked.Cause, err)
	}

	// Private: nobody else sees it, and only an admin may share.
	if list, err := w.Member.Connections(ctx); err != nil || len(list) != 0 {
		t.Fatalf("the member sees %d private connections of others (%v)", len(list), err)
	}
	if _, err := w.Member.Credential(ctx, connection.ID); bridge.CodeOf(err) != "connection_unknown" {
		t.Errorf("the member gets a credential of a private connection: %v", err)
	}
	organization, private := connections.Organization, connections.Private
	own := w.Connect(w.Member)
	if _, err := w.Member.Patch(ctx, own.ID, api.ConnectionPatch{Visibility: &organization}); bridge.AsError(err).Kind != bridge.Forbidden {
		t.Errorf("a member shares: %v", err)
	}
	if _, err := w.Viewer.ConnectToken(ctx, w.URL, nil); bridge.CodeOf(err) != "access_denied" {
		t.Errorf("a viewer gets a connect token: %v", err)
	}

	// Shared: the member has it at once, is named to the app, and has less than the admin.
	if _, err := w.Admin.Patch(ctx, connection.ID, api.ConnectionPatch{Visibility: &organization}); err != nil {
		t.Fatal(err)
	}
	status, body := w.Call(w.Member, connection.ID, "/whoami")
	if status != 200 || body != "member@acme.test app:*" {
		t.Errorf("the member's call answered %d %q", status, body)
	}
	if _, body := w.Call(w.Viewer, connection.ID, "/whoami"); body != "viewer@acme.test app:read" {
		t.Errorf("the viewer's call answered %q", body)
	}
	if status, _ := w.Call(w.Member, connection.ID, "/ace/v1/api-keys"); status != http.StatusForbidden {
		t.Errorf("the member lists the server's keys: %d", status)
	}
	if _, err := w.Admin.Patch(ctx, connection.ID, api.ConnectionPatch{Visibility: &private}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Member.Credential(ctx, connection.ID); bridge.CodeOf(err) != "connection_unknown" {
		t.Errorf("the member still gets a credential: %v", err)
	}

	// Disconnected: the credential that was fetched before is dead with its key.
	credential, err := w.Admin.Credential(ctx, connection.ID)
	if err != nil {
		t.Fatal(err)
	}
	removed, err := w.Admin.Delete(ctx, connection.ID)
	if err != nil || removed.Revocation == nil || removed.Revocation.Status != "delivered" {
		t.Fatalf("disconnect: %v %+v", err, removed.Revocation)
	}
	if status, body := w.CallWith(credential, "/whoami"); status != http.StatusUnauthorized || !strings.Contains(body, "API key is invalid or expired") {
		t.Errorf("after the disconnect the server answers %d %q", status, body)
	}
	keys, err := w.Operator.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.KeyID == removed.Revocation.KeyID && (k.Status != "revoked" || k.Ended == nil || k.Ended.By != "user:admin@acme.test") {
			t.Errorf("the key is %s, %+v", k.Status, k.Ended)
		}
	}
}

// A connect that dies between exchange and registration leaves a key that nobody has; it lapses, and a rerun completes.
func TestOrphanedKeyLapses(t *testing.T) {
	t.Parallel()
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	ctx := t.Context()
	token, err := w.Admin.ConnectToken(ctx, w.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	orphan, err := w.Operator.Exchange(ctx, token, api.ExchangeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	connection := w.Connect(w.Admin)
	if status, _ := w.Call(w.Admin, connection.ID, "/whoami"); status != http.StatusOK {
		t.Fatalf("the rerun's connection answers %d", status)
	}
	w.Advance(bridge.UnconfirmedLife)
	key, err := w.Operator.Key(ctx, orphan.KeyID)
	if err != nil || key.Status != "lapsed" {
		t.Errorf("the orphan is %q (%v), want lapsed", key.Status, err)
	}
	if status, _ := w.Call(w.Admin, connection.ID, "/whoami"); status != http.StatusOK {
		t.Errorf("the confirmed key died as well: %d", status)
	}
}

// A server that is away when its connection is removed gets the revocation when it is back.
func TestRevocationIsKept(t *testing.T) {
	t.Parallel()
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	away := bridge.ServerURL("http://127.0.0.1:1")
	key := bridge.NewKey(bridge.KindLive, [16]byte{1})
	disclosed := key.Text().Disclose()
	connection, err := w.Admin.Register(ctx, api.RegisterRequest{ServerURL: string(away), APIKey: &disclosed})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := w.Admin.Check(ctx, connection.ID); err != nil || c.Status != "offline" || c.Hint == "" {
		t.Errorf("a server that is away is %q, hint %q (%v)", c.Status, c.Hint, err)
	}
	removed, err := w.Admin.Delete(ctx, connection.ID)
	if err != nil || removed.Revocation == nil || removed.Revocation.Status != "pending" || removed.Revocation.Token == nil {
		t.Fatalf("%v %+v", err, removed.Revocation)
	}
	if err := w.Member.RevocationDelivered(ctx, removed.Revocation.ID); bridge.CodeOf(err) != "revocation_unknown" {
		t.Errorf("another member confirms it: %v", err)
	}
	if err := w.Admin.RevocationDelivered(ctx, removed.Revocation.ID); err != nil {
		t.Error(err)
	}
}
