package oauth_test

import (
	"encoding/json"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/internal/roomtest"
	"github.com/acebridge/ace/cloud/oauth"
	"github.com/acebridge/ace/cloud/schema"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, schema.Migrate) }

// fixture is the authorization server alone, over the stores.
type fixture struct{ *roomtest.Fixture }

func start(t *testing.T, dsn string) *fixture {
	t.Helper()
	f := &fixture{roomtest.New(t, dsn, "")}
	room := oauth.New(oauth.Config{PublicURL: f.URL, Root: f.Root, Page: f.Page, Who: f.Who, Sessions: f.Sessions,
		Accounts: f.Accounts, Connections: f.Connections,
		Devices: api.NewLimiter(2*time.Second, 20, 500, f.Clock), Tokens: api.NewLimiter(100*time.Millisecond, 300, 1000, f.Clock), Now: f.Clock},
		slog.New(slog.DiscardHandler))
	f.Serve(roomtest.Room{Mount: room.Mount})
	return f
}

// oauth posts to an OAuth endpoint and returns the error code of the answer.
func (f *fixture) oauth(path string, form url.Values) (int, map[string]any) {
	f.T.Helper()
	resp, body := f.Do("POST", path, form.Encode(), "Content-Type", roomtest.FormType)
	answer := map[string]any{}
	if err := json.Unmarshal([]byte(body), &answer); err != nil && body != "" {
		f.T.Fatalf("%s: %s", path, body)
	}
	return resp.StatusCode, answer
}
