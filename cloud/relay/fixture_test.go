package relay_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/bridge/tunnel"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/roomtest"
	"github.com/acebridge/ace/cloud/links"
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/presence"
	"github.com/acebridge/ace/cloud/relay"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/who"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, schema.Migrate) }

// fixture is the relay alone, over the stores.
type fixture struct {
	*roomtest.Fixture
	relay    *relay.Relay
	links    *links.Links
	overLink bool // servers are reached over links

	mu   sync.Mutex
	keys map[string]linkKey // by the ID of an API key
}

type linkKey struct {
	connection string
	public     ed25519.PublicKey
}

// eachWay runs a test with servers that are called directly, and with servers behind a link.
func eachWay(t *testing.T, limits who.RelayLimits, test func(*testing.T, *fixture)) {
	t.Helper()
	for name, overLink := range map[string]bool{"direct": false, "link": true} {
		t.Run(name, func(t *testing.T) {
			f := startWith(t, sqldbtest.SQLite(t), limits)
			f.overLink = overLink
			test(t, f)
		})
	}
}

func start(t *testing.T, dsn string) *fixture {
	t.Helper()
	return startWith(t, dsn, who.RelayLimits{})
}

func startWith(t *testing.T, dsn string, limits who.RelayLimits) *fixture {
	t.Helper()
	f := &fixture{Fixture: roomtest.New(t, dsn, ""), keys: map[string]linkKey{}}
	replica, err := presence.New(f.DB, "")
	if err != nil {
		t.Fatal(err)
	}
	f.links, err = links.New(links.Config{PublicURL: f.URL, Root: f.Root, Presence: replica, Now: time.Now,
		Lookup: func(_ context.Context, keyID string) (string, []ed25519.PublicKey, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.keys[keyID].connection, []ed25519.PublicKey{f.keys[keyID].public}, nil
		}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.links.Close)
	f.relay = relay.New(relay.Config{PublicURL: f.URL, Outbound: outbound.Rules{Loopback: true}, Links: f.links, Limits: limits, Keys: f.Keys, Who: f.Who,
		Quotas: who.NewQuotas(limits), Tokens: f.Tokens, History: f.History, Now: f.Clock,
		Check: func(context.Context, accounts.Principal, string) (api.Connection, error) {
			return api.Connection{}, errors.New("nothing is probed here")
		}}, slog.New(slog.DiscardHandler))
	f.Serve(roomtest.Room{Mount: f.links.Mount, Before: f.relay.ForgetTerms, Foreign: func(path string) echo.HandlerFunc {
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
	if f.overLink {
		return f.linked(h, "https://behind-nat.test")
	}
	ts := httptest.NewServer(h)
	f.T.Cleanup(func() { ts.CloseClientConnections(); ts.Close() })
	connection = f.Register(f.Ann, ts.URL, plainKey)
	return "/v1/connections/" + connection.ID + "/relay", connection
}

// linked registers a server that has links and is known by a URL that nobody dials, and returns the path of the relay to it.
func (f *fixture) linked(h http.HandlerFunc, url string) (relay string, connection api.Connection) {
	f.T.Helper()
	connection = f.Register(f.Ann, url, plainKey)
	f.dial(connection.ID, h)
	return "/v1/connections/" + connection.ID + "/relay", connection
}

// dial opens the links of a connection's server, until the test ends or stop is called.
func (f *fixture) dial(connection string, h http.HandlerFunc) (stop func()) {
	f.T.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.T.Fatal(err)
	}
	f.mu.Lock()
	f.keys["key-of-"+connection] = linkKey{connection, public}
	f.mu.Unlock()
	dialer, err := tunnel.NewDialer(tunnel.DialerConfig{Cloud: f.URL, Path: api.PathLink, KeyID: "key-of-" + connection, Key: private, Handler: h,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.T.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = dialer.Run(ctx, time.Millisecond)
	}()
	stop = func() { cancel(); <-done }
	f.T.Cleanup(stop)
	for late := time.After(time.Minute); !f.links.Linked(f.T.Context(), connection); {
		select {
		case <-time.After(time.Millisecond):
		case <-late:
			f.T.Fatalf("there is no link: %+v", dialer.States())
		}
	}
	return stop
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
