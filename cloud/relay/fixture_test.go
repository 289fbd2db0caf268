package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/roomtest"
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/relay"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/who"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, schema.Migrate) }

// fixture is the relay alone, over the stores.
type fixture struct {
	*roomtest.Fixture
	relay *relay.Relay
}

func start(t *testing.T, dsn string) *fixture {
	t.Helper()
	return startWith(t, dsn, who.RelayLimits{})
}

func startWith(t *testing.T, dsn string, limits who.RelayLimits) *fixture {
	t.Helper()
	f := &fixture{Fixture: roomtest.New(t, dsn, "")}
	f.relay = relay.New(relay.Config{PublicURL: f.URL, Outbound: outbound.Rules{Loopback: true}, Limits: limits, Keys: f.Keys, Who: f.Who,
		Quotas: who.NewQuotas(limits), Tokens: f.Tokens, History: f.History, Now: f.Clock,
		Check: func(context.Context, accounts.Principal, string) (api.Connection, error) {
			return api.Connection{}, errors.New("nothing is probed here")
		}}, slog.New(slog.DiscardHandler))
	f.Serve(roomtest.Room{Before: f.relay.ForgetTerms, Foreign: func(path string) echo.HandlerFunc {
		if relay.IsRelay(path) {
			return f.relay.RelayCall
		}
		return nil
	}})
	t.Cleanup(f.relay.Close)
	return f
}

// behind registers a server that knows only plain keys, and returns the path of the relay to it.
func (f *fixture) behind(h http.HandlerFunc) (relay string, connection api.Connection) {
	f.T.Helper()
	ts := httptest.NewServer(h)
	f.T.Cleanup(func() { ts.CloseClientConnections(); ts.Close() })
	connection = f.Register(f.Ann, ts.URL, plainKey)
	return "/v1/connections/" + connection.ID + "/relay", connection
}

func (f *fixture) share(id, visibility string) {
	f.T.Helper()
	f.Patch(f.Ann, id, api.ConnectionPatch{Visibility: &visibility})
}

// memberToken adds a person and returns a developer token of theirs.
func (f *fixture) memberToken(email string, role bridge.Role) bridge.Secret {
	f.T.Helper()
	f.Person(email, "acme", role)
	return f.DeveloperToken(email, "acme")
}

const plainKey = "a-plain-key-of-the-server"

// request makes one to the cloud, with the admin's session token.
func (f *fixture) request(method, path string, body io.Reader) *http.Request {
	f.T.Helper()
	r, err := http.NewRequestWithContext(f.T.Context(), method, f.Server+path, body)
	if err != nil {
		f.T.Fatal(err)
	}
	r.Header.Set("Authorization", f.Bearer())
	return r
}

// send answers without reading the body.
func (f *fixture) send(r *http.Request) *http.Response {
	f.T.Helper()
	resp, err := f.HTTP.Do(r)
	if err != nil {
		f.T.Fatal(err)
	}
	f.T.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func codeOf(t *testing.T, body string) bridge.Code {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return p.Code
}
