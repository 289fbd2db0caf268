package connections

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/e2e/world"
	"github.com/acebridge/ace/server"
)

// upstream is an app. Its answer to /stream begins at once and ends when end is closed.
func upstream(t *testing.T, end <-chan struct{}) func(*server.Config) {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Ace-Subject")+"\n")
		if r.URL.Path == "/stream" {
			_ = http.NewResponseController(w).Flush()
			select {
			case <-end:
				_, _ = io.WriteString(w, "the end\n")
			case <-r.Context().Done():
			}
		}
	}))
	t.Cleanup(app.Close)
	return func(cfg *server.Config) { cfg.Upstream, _ = url.Parse(app.URL) }
}

// Before the key of a shared connection expires, the cloud rotates it. Members notice nothing, not even on open streams. If the
// key cannot be rotated, the owner is told why and what to do.
func TestKeysAreRotatedBeforeTheyExpire(t *testing.T) {
	end := make(chan struct{})
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), upstream(t, end))
	connection := w.Connect(w.Admin)
	if _, err := w.Admin.Patch(t.Context(), connection.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
		t.Fatal(err)
	}
	if c, err := w.Admin.Check(t.Context(), connection.ID); err != nil || c.Status != "online" {
		t.Fatalf("%+v (%v)", c, err)
	}
	w.Advance(80 * 24 * time.Hour)
	member := w.Again("member")
	before, err := member.Credential(t.Context(), connection.ID)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(w.Relay("member", "/v1/connections/"+connection.ID+"/relay/stream"))
	if !lines.Scan() || lines.Text() != "member@acme.test" {
		t.Fatalf("the stream begins with %q (%v)", lines.Text(), lines.Err())
	}
	w.Work(connection.ID, func(c api.Connection) bool { return c.ExpiresAt.Sub(w.Now()) > 80*24*time.Hour })
	close(end)
	if !lines.Scan() || lines.Text() != "the end" {
		t.Errorf("the member's stream was cut: %q (%v)", lines.Text(), lines.Err())
	}
	if status, body := w.CallWith(before, "/whoami"); status != 200 || body != "member@acme.test\n" {
		t.Errorf("with what the member was given before: %d %s", status, body)
	}
	w.Advance(20 * 24 * time.Hour) // the old secret has ended
	if status, body := w.Call(w.Again("member"), connection.ID, "/whoami"); status != 200 || body != "member@acme.test\n" {
		t.Errorf("after the end of the old secret: %d %s", status, body)
	}
	rotationFails(w, connection)
}

// rotationFails disables the key on the server until its end comes near, and enables it again.
func rotationFails(w *world.World, connection api.Connection) {
	t := w.T
	t.Helper()
	operator := w.OperatorAgain()
	if _, err := operator.DisableKey(t.Context(), connection.KeyID); err != nil {
		t.Fatal(err)
	}
	w.Advance(60 * 24 * time.Hour)
	failed := w.Work(connection.ID, func(c api.Connection) bool { return c.Rotation != nil && c.Status == "unauthorized" })
	const cause = "the server does not accept the key any more"
	fix := "ace connect --server " + string(w.URL)
	if failed.Rotation.Cause != cause || failed.Rotation.Hint != fix {
		t.Errorf("the owner is told %+v", failed.Rotation)
	}
	entries, err := w.Again("admin").Audit(t.Context(), url.Values{"action": {"connection.rotate_failed"}})
	if err != nil || len(entries.Items) != 1 || entries.Items[0].Details["hint"] != fix {
		t.Errorf("the audit log has %+v (%v)", entries, err)
	}
	for _, page := range []string{"/connections", "/connections/" + connection.ID} {
		if body := w.Page(page); !strings.Contains(body, "could not be renewed") || !strings.Contains(body, fix) {
			t.Errorf("%s does not say so", page)
		}
	}
	if said := warned(w, failed); !strings.Contains(said, "could not be renewed: "+cause) || !strings.Contains(said, "fix: "+fix) {
		t.Errorf("the command says %q", said)
	}
	if _, err := w.OperatorAgain().EnableKey(t.Context(), connection.KeyID); err != nil {
		t.Fatal(err)
	}
	w.Advance(6 * time.Hour)
	w.Work(connection.ID, func(c api.Connection) bool { return c.Rotation == nil })
	if body := w.Page("/connections"); strings.Contains(body, "could not be renewed") {
		t.Error("the page still says that it could not be renewed")
	}
	removed, err := w.Again("admin").Delete(t.Context(), connection.ID)
	if err != nil || removed.Revocation == nil || removed.Revocation.Status != "delivered" {
		t.Errorf("%+v (%v)", removed, err)
	}
	if key, err := w.OperatorAgain().Key(t.Context(), connection.KeyID); err != nil || key.Status != "revoked" {
		t.Errorf("after disconnecting, the key is %s (%v)", key.Status, err)
	}
}

// warned returns the warning that the commands print about a connection.
func warned(w *world.World, c api.Connection) string {
	w.T.Helper()
	stderr, err := os.Create(filepath.Join(w.T.TempDir(), "stderr"))
	if err != nil {
		w.T.Fatal(err)
	}
	newGroup(stderr).warnOfRotation(c)
	said, err := os.ReadFile(stderr.Name())
	if err != nil {
		w.T.Fatal(err)
	}
	_ = stderr.Close()
	return string(said)
}
