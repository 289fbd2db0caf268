package scenario

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/e2e/world"
	"github.com/acebridge/ace/server"
)

// Whoever loses access is out at once, also where they call the server directly: what they have open there ends, and their
// token is dead long before it expires. Those who keep access notice nothing.
func TestWhoLosesAccessIsOut(t *testing.T) {
	t.Parallel()
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
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), func(c *server.Config) { c.Upstream = upstream })
	ctx := t.Context()
	w.Run()
	connection := w.Connect(w.Admin)
	share := func(visibility string) {
		t.Helper()
		if _, err := w.Admin.Patch(ctx, connection.ID, api.ConnectionPatch{Visibility: &visibility}); err != nil {
			t.Fatal(err)
		}
	}
	me, err := w.Viewer.Me(ctx)
	if err != nil {
		t.Fatal(err)
	}
	credential := func(who *apiclient.Cloud) api.Credential {
		t.Helper()
		c, err := who.Credential(ctx, connection.ID)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	share(connections.Organization)
	owners := w.Stream(credential(w.Admin))
	for name, c := range map[string]struct {
		who    *apiclient.Cloud
		remove func()
	}{
		"unshared": {w.Member, func() { share(connections.Private) }},
		"removed": {w.Viewer, func() {
			if _, err := w.Admin.RemoveMember(ctx, "acme", me.ID); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		share(connections.Organization)
		held := credential(c.who)
		direct := w.Stream(held)
		c.remove()
		select {
		case <-direct:
		case <-time.After(20 * time.Second):
			t.Errorf("%s: the stream goes on", name)
		}
		if status, body := w.CallWith(held, "/x"); status != http.StatusUnauthorized {
			t.Errorf("%s: the token is still taken: %d %s", name, status, body)
		}
	}
	select {
	case <-owners:
		t.Error("the owner's stream was cut")
	default:
	}
	operator := api.Credential{Header: bridge.HeaderAPIKey, Value: w.OperatorToken.Disclose(), ServerURL: w.URL}
	if status, log := w.CallWith(operator, "/ace/v1/audit?action=key.withdraw_tokens"); status != http.StatusOK || strings.Count(log, `"members"`) != 2 {
		t.Errorf("the server's audit log tells of withdrawals (%d): %s", status, log)
	}
}
