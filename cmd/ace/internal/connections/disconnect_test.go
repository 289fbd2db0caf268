package connections

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/connect"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cmd/ace/internal/connector"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
	"github.com/acebridge/ace/e2e/world"
)

// newGroup is a group on the streams of the test, and stderr.
func newGroup(stderr *os.File) *Group {
	t := term.New(os.Stdin, os.Stdout, stderr)
	p := &profile.Profiles{Term: t}
	return &Group{Term: t, Profiles: p, Connector: &connector.Connector{Term: t, Profiles: p}}
}

// If the cloud cannot reach the server, the machine that disconnects delivers the revocation and tells the cloud.
func TestDisconnectDeliversTheRevocation(t *testing.T) {
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	created, err := w.Operator.CreateKey(t.Context(), api.CreateKeyRequest{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := bridge.ParseKey(created.Key.Secret)
	if err != nil {
		t.Fatal(err)
	}
	token, err := key.SignRevocation("ann@acme.test", "disconnected", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	disclosed := token.Disclose()
	connection := api.Connection{ID: "c1", Name: "laptop", ServerURL: w.URL, CreatedAt: time.Now()}
	told := false
	cloud := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "DELETE /v1/connections/c1":
			rw.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(rw).Encode(api.Removed{Connection: connection, Revocation: &api.RevocationDue{ID: "r1",
				KeyID: created.KeyID, ServerURL: w.URL, Status: "pending", Token: &disclosed}})
		case "DELETE /v1/revocations/r1":
			told = true
			rw.WriteHeader(http.StatusNoContent)
		default:
			http.NotFound(rw, r)
		}
	}))
	t.Cleanup(cloud.Close)
	result, err := newGroup(os.Stderr).remove(t.Context(), apiclient.NewCloud(bridge.ServerURL(cloud.URL), bridge.NewSecret("x"), api.ClientConfig{}), connection)
	if err != nil || result.Revocation != connect.RevocationDelivered || !told {
		t.Errorf("%+v, the cloud was told: %v (%v)", result, told, err)
	}
	if after, err := w.Operator.Key(t.Context(), created.KeyID); err != nil || after.Status != "revoked" {
		t.Errorf("the key is %q (%v)", after.Status, err)
	}
}
