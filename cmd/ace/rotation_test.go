package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/server"
)

// again signs somebody in anew, after time has passed.
func (w *world) again(name string) *api.CloudClient {
	w.t.Helper()
	token, _, err := w.cloud.DeveloperToken(w.t.Context(), name+"@acme.test", "acme")
	if err != nil {
		w.t.Fatal(err)
	}
	return api.NewCloudClient(w.cloudURL, token, api.ClientConfig{})
}

// work has the cloud do its background work until the admin sees a connection that is as wanted.
func (w *world) work(id string, wanted func(api.Connection) bool) api.Connection {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	stopped := make(chan struct{})
	go func() { _ = w.cloud.Run(ctx); close(stopped) }()
	defer func() { cancel(); <-stopped }()
	admin, look := w.again("admin"), time.NewTicker(20*time.Millisecond)
	defer look.Stop()
	for {
		c, err := admin.Connection(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		if wanted(c) {
			return c
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			w.t.Fatalf("the cloud has come no further than %+v %+v", c, c.Rotation)
		}
	}
}

// upstream is an app whose answers to /stream begin, and end when they are told to.
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

// Before the key of a shared connection expires, the cloud rotates it. Members notice nothing, what they have open included;
// where it cannot be done, the owner is told why and what to do.
func TestKeysAreRotatedBeforeTheyExpire(t *testing.T) {
	end := make(chan struct{})
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), upstream(t, end))
	connection := w.connect(w.admin)
	if _, err := w.admin.Patch(t.Context(), connection.ID, api.ConnectionPatch{Visibility: new(registry.Organization)}); err != nil {
		t.Fatal(err)
	}
	if c, err := w.admin.Check(t.Context(), connection.ID); err != nil || c.Status != "online" {
		t.Fatalf("%+v (%v)", c, err)
	}
	w.advance(80 * 24 * time.Hour)
	member := w.again("member")
	before, err := member.Credential(t.Context(), connection.ID)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(w.relay("member", "/v1/connections/"+connection.ID+"/relay/stream"))
	if !lines.Scan() || lines.Text() != "member@acme.test" {
		t.Fatalf("the stream begins with %q (%v)", lines.Text(), lines.Err())
	}
	w.work(connection.ID, func(c api.Connection) bool { return c.ExpiresAt.Sub(w.now()) > 80*24*time.Hour })
	close(end)
	if !lines.Scan() || lines.Text() != "the end" {
		t.Errorf("the member's stream was cut: %q (%v)", lines.Text(), lines.Err())
	}
	if status, body := w.callWith(before, "/whoami"); status != 200 || body != "member@acme.test\n" {
		t.Errorf("with what the member was given before: %d %s", status, body)
	}
	w.advance(20 * 24 * time.Hour) // the old secret has ended
	if status, body := w.call(w.again("member"), connection.ID, "/whoami"); status != 200 || body != "member@acme.test\n" {
		t.Errorf("after the end of the old secret: %d %s", status, body)
	}
	rotationFails(w, connection)
}

// rotationFails disables the key on the server until its end comes near, and enables it again.
func rotationFails(w *world, connection api.Connection) {
	t := w.t
	t.Helper()
	operator := w.operatorAgain()
	if _, err := operator.DisableKey(t.Context(), connection.KeyID); err != nil {
		t.Fatal(err)
	}
	w.advance(60 * 24 * time.Hour)
	failed := w.work(connection.ID, func(c api.Connection) bool { return c.Rotation != nil && c.Status == "unauthorized" })
	const cause = "the server does not accept the key any more"
	fix := "ace connect --server " + string(w.url)
	if failed.Rotation.Cause != cause || failed.Rotation.Hint != fix {
		t.Errorf("the owner is told %+v", failed.Rotation)
	}
	entries, err := w.again("admin").Audit(t.Context(), url.Values{"action": {"connection.rotate_failed"}})
	if err != nil || len(entries.Items) != 1 || entries.Items[0].Details["hint"] != fix {
		t.Errorf("the audit log has %+v (%v)", entries, err)
	}
	for _, page := range []string{"/connections", "/connections/" + connection.ID} {
		if body := w.page(page); !strings.Contains(body, "could not be renewed") || !strings.Contains(body, fix) {
			t.Errorf("%s does not say so", page)
		}
	}
	if said := warned(w, failed); !strings.Contains(said, "could not be renewed: "+cause) || !strings.Contains(said, "fix: "+fix) {
		t.Errorf("the command says %q", said)
	}
	if _, err := w.operatorAgain().EnableKey(t.Context(), connection.KeyID); err != nil {
		t.Fatal(err)
	}
	w.advance(6 * time.Hour)
	w.work(connection.ID, func(c api.Connection) bool { return c.Rotation == nil })
	if body := w.page("/connections"); strings.Contains(body, "could not be renewed") {
		t.Error("the page still says that it could not be renewed")
	}
	removed, err := w.again("admin").Delete(t.Context(), connection.ID)
	if err != nil || removed.Revocation == nil || removed.Revocation.Status != "delivered" {
		t.Errorf("%+v (%v)", removed, err)
	}
	if key, err := w.operatorAgain().Key(t.Context(), connection.KeyID); err != nil || key.Status != "revoked" {
		t.Errorf("after disconnecting, the key is %s (%v)", key.Status, err)
	}
}

// relay begins a call through the relay, and returns its answer as it comes.
func (w *world) relay(name, path string) io.Reader {
	w.t.Helper()
	token, _, err := w.cloud.DeveloperToken(w.t.Context(), name+"@acme.test", "acme")
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, string(w.cloudURL)+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp.Body
}

// operatorAgain is the server's operator, with a token of now.
func (w *world) operatorAgain() *api.ServerClient {
	w.t.Helper()
	token, err := server.MintUserToken(w.jwtSecret, "ops", bridge.RoleAdmin, time.Hour, w.now())
	if err != nil {
		w.t.Fatal(err)
	}
	return w.operator.As(token)
}

// page is one of the dashboard's, as the admin sees it.
func (w *world) page(path string) string {
	w.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	send := func(method, path, body, cookie string) *http.Response {
		r, err := http.NewRequestWithContext(w.t.Context(), method, string(w.cloudURL)+path, strings.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		resp, err := client.Do(r)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	signedIn := send(http.MethodPost, "/login", url.Values{"email": {"admin@acme.test"}, "password": {testPassword}}.Encode(), "")
	cookie, _, _ := strings.Cut(signedIn.Header.Get("Set-Cookie"), ";")
	body, err := io.ReadAll(send(http.MethodGet, path, "", cookie).Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(body)
}

// warned is what the commands about connections say of one on stderr.
func warned(w *world, c api.Connection) string {
	w.t.Helper()
	stderr, err := os.Create(filepath.Join(w.t.TempDir(), "stderr"))
	if err != nil {
		w.t.Fatal(err)
	}
	newApp(os.Stdin, os.Stdout, stderr).warnOfRotation(c)
	said, err := os.ReadFile(stderr.Name())
	if err != nil {
		w.t.Fatal(err)
	}
	_ = stderr.Close()
	return string(said)
}
