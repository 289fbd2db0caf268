// Tests of the relay together with other packages: a change made through the API ends open calls, and a failure has the
// connection probed. The relay alone is tested in cloud/relay.

package cloud_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
)

const plainKey = "a-plain-key-of-the-server"

// behind registers a server that knows only plain keys, and returns the path of the relay to it.
func (f *fixture) behind(h http.HandlerFunc) (relay string, connection api.Connection) {
	f.t.Helper()
	ts := httptest.NewServer(h)
	f.t.Cleanup(func() { ts.CloseClientConnections(); ts.Close() })
	key := bridge.NewSecret(plainKey).Disclose()
	connection, err := f.client().Register(f.t.Context(), api.RegisterRequest{ServerURL: ts.URL, APIKey: &key})
	if err != nil {
		f.t.Fatal(err)
	}
	return "/v1/connections/" + connection.ID + "/relay", connection
}

func (f *fixture) share(id string, visibility string) {
	f.t.Helper()
	if _, err := f.client().Patch(f.t.Context(), id, api.ConnectionPatch{Visibility: &visibility}); err != nil {
		f.t.Fatal(err)
	}
}

// memberToken adds a person and returns a developer token of theirs.
func (f *fixture) memberToken(email string, role bridge.Role) bridge.Secret {
	f.t.Helper()
	f.member(email, role)
	token, _, err := f.cloud.DeveloperToken(f.t.Context(), email, "acme")
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

func (f *fixture) bearer() string { return "Bearer " + f.token.Reveal() }

// request makes one to the cloud, with the admin's session token.
func (f *fixture) request(method, path string, body io.Reader) *http.Request {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", f.bearer())
	return r
}

// send answers without reading the body.
func (f *fixture) send(r *http.Request) *http.Response {
	f.t.Helper()
	resp, err := f.http.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = resp.Body.Close() })
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

func echoServer(ws *websocket.Conn) { _, _ = io.Copy(ws, ws) }

func (f *fixture) webSocket(relay string, headers ...string) (*websocket.Conn, error) {
	f.t.Helper()
	cfg, err := websocket.NewConfig(strings.Replace(f.url, "http", "ws", 1)+relay+"/echo", f.url)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		cfg.Header.Set(headers[i], headers[i+1])
	}
	return cfg.DialContext(f.t.Context())
}

// A member who loses access is cut off: open streams end, and new calls are refused.
func TestRelayEnds(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		t.Cleanup(f.run())
		left := make(chan struct{}, 8)
		relay, connection := f.behind(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				websocket.Server{Handler: echoServer}.ServeHTTP(w, r)
			} else {
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
			left <- struct{}{}
		})
		admin := f.client()
		for name, end := range map[string]func(credential bridge.Secret, keyID string) error{
			"unshared": func(bridge.Secret, string) error {
				_, err := admin.Patch(t.Context(), connection.ID, api.ConnectionPatch{Visibility: new(connections.Private)})
				return err
			},
			"key revoked": func(_ bridge.Secret, keyID string) error { _, err := admin.RevokeKey(t.Context(), keyID); return err },
			"made a viewer": func(credential bridge.Secret, _ string) error {
				me, err := f.as(credential).Me(t.Context())
				if err == nil {
					_, err = admin.ChangeRole(t.Context(), "acme", me.ID, "viewer")
				}
				return err
			},
			"removed": func(credential bridge.Secret, _ string) error {
				me, err := f.as(credential).Me(t.Context())
				if err == nil {
					_, err = admin.RemoveMember(t.Context(), "acme", me.ID)
				}
				return err
			},
			"session ended": func(credential bridge.Secret, _ string) error {
				return f.client().RevokeSession(t.Context(), credential)
			},
		} {
			f.share(connection.ID, connections.Organization)
			email := strings.ReplaceAll(name, " ", "-") + "@acme.test"
			credential, keyID := f.memberToken(email, bridge.RoleMember), ""
			if name == "key revoked" {
				key := f.key(f.as(credential), api.CreateKeyRequest{Name: "x", Preset: "full"})
				credential, keyID = key.Key.Secret, key.KeyID
			}
			bearer := "Bearer " + credential.Reveal()
			r := f.request("GET", relay+"/stream", nil)
			r.Header.Set("Authorization", bearer)
			stream := f.send(r)
			ws, err := f.webSocket(relay, "Authorization", bearer)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			began := time.Now()
			if err := end(credential, keyID); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := io.ReadAll(stream.Body); err == nil {
				t.Errorf("%s: the stream ends as if it were whole", name)
			}
			var got string
			if err := websocket.Message.Receive(ws, &got); err == nil {
				t.Errorf("%s: the WebSocket goes on", name)
			}
			<-left
			<-left
			if took := time.Since(began); took > 5*time.Second { // a quarter of a second; what cannot be looked at is cut after ten
				t.Errorf("%s: cut after %s", name, took)
			}
			if name == "made a viewer" {
				continue // may call again, as one
			}
			if resp, _ := f.do("GET", relay+"/stream", "", "Authorization", bearer); resp.StatusCode == http.StatusOK {
				t.Errorf("%s: a new call gets through", name)
			}
		}
	})
}

// A server that refuses the key or cannot be reached is probed at once, and the connection's status says so.
func TestRelayMarksWhatFails(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	t.Cleanup(f.run())
	var refuse atomic.Bool
	relay, connection := f.behind(func(w http.ResponseWriter, _ *http.Request) {
		if !refuse.Load() {
			return
		}
		w.Header().Set("Www-Authenticate", `Basic realm="the cloud"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	if c, err := f.client().Check(t.Context(), connection.ID); err != nil || c.Status != connections.StatusOnline {
		t.Fatalf("%+v %v", c, err)
	}
	refuse.Store(true)
	resp, _ := f.do("GET", relay+"/x", "", "Authorization", f.bearer())
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get(api.HeaderRelay) != "server" || resp.Header.Get("Www-Authenticate") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	for range 2000 { // it is probed in the background
		if c, err := f.client().Connection(t.Context(), connection.ID); err == nil && c.Status == connections.StatusUnauthorized {
			return
		}
	}
	t.Error("the connection's status does not say that the key is refused")
}

// Calls that are not stored yet are stored when the cloud stops, and the API shows each member their own.
func TestLastCallsAreStored(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		relay, connection := f.behind(func(http.ResponseWriter, *http.Request) {})
		f.share(connection.ID, connections.Organization)
		max := f.memberToken("max@acme.test", bridge.RoleMember)
		for _, bearer := range []string{f.bearer(), "Bearer " + max.Reveal()} {
			if resp, body := f.do("GET", relay+"/x", "", "Authorization", bearer); resp.StatusCode != http.StatusOK {
				t.Fatalf("%d %s", resp.StatusCode, body)
			}
		}
		if uses, err := f.client().MemberUses(t.Context(), connection.ID); err != nil || len(uses) != 0 {
			t.Errorf("stored already: %+v (%v)", uses, err)
		}
		f.restart()
		if uses, err := f.client().MemberUses(t.Context(), connection.ID); err != nil || len(uses) != 2 || uses[0].Calls != 1 || uses[1].Calls != 1 {
			t.Errorf("an admin sees %+v (%v)", uses, err)
		}
		own, err := f.as(max).MemberUses(t.Context(), connection.ID)
		if err != nil || len(own) != 1 || own[0].Email != "max@acme.test" || own[0].Calls != 1 {
			t.Errorf("max sees %+v (%v)", own, err)
		}
	})
}
