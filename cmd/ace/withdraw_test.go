package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/server"
)

// Whoever loses access is out at once, also where they call the server directly: what they have open there ends, and their
// token is dead long before it expires. Those who keep access notice nothing.
func TestWhoLosesAccessIsOut(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, "data: hello\n\n")
		if r.URL.Path == "/events" {
			_ = http.NewResponseController(rw).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(app.Close)
	upstream, err := url.Parse(app.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), func(c *server.Config) { c.Upstream = upstream })
	ctx := t.Context()
	w.run()
	connection := w.connect(w.admin)
	share := func(visibility string) {
		t.Helper()
		if _, err := w.admin.Patch(ctx, connection.ID, api.ConnectionPatch{Visibility: &visibility}); err != nil {
			t.Fatal(err)
		}
	}
	me, err := w.viewer.Me(ctx)
	if err != nil {
		t.Fatal(err)
	}
	credential := func(who *api.CloudClient) api.Credential {
		t.Helper()
		c, err := who.Credential(ctx, connection.ID)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	share(registry.Organization)
	owners := w.stream(credential(w.admin))
	for name, c := range map[string]struct {
		who    *api.CloudClient
		remove func()
	}{
		"unshared": {w.member, func() { share(registry.Private) }},
		"removed": {w.viewer, func() {
			if _, err := w.admin.RemoveMember(ctx, "acme", me.ID); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		share(registry.Organization)
		held := credential(c.who)
		direct := w.stream(held)
		c.remove()
		select {
		case <-direct:
		case <-time.After(20 * time.Second):
			t.Errorf("%s: the stream goes on", name)
		}
		if status, body := w.callWith(held, "/x"); status != http.StatusUnauthorized {
			t.Errorf("%s: the token is still taken: %d %s", name, status, body)
		}
	}
	select {
	case <-owners:
		t.Error("the owner's stream was cut")
	default:
	}
	operator := api.Credential{Header: bridge.HeaderAPIKey, Value: w.operatorToken.Disclose(), ServerURL: w.url}
	if status, log := w.callWith(operator, "/ace/v1/audit?action=key.withdraw_tokens"); status != http.StatusOK || strings.Count(log, `"members"`) != 2 {
		t.Errorf("the server's audit log tells of withdrawals (%d): %s", status, log)
	}
}

// stream opens a stream straight at the server, which has begun when this returns; ended is closed when it has ended.
func (w *world) stream(c api.Credential) (ended <-chan struct{}) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, c.ServerURL.Join("/events"), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set(c.Header, c.Value.Reveal())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "data: hello\n" {
		w.t.Fatalf("the stream begins with %q (%v)", line, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, lines)
		_ = resp.Body.Close()
	}()
	return done
}
