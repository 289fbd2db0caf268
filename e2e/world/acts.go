package world

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/server"
)

// PlainApp is a server that knows plain API keys only, and counts what comes from pages and what comes at all.
type PlainApp struct {
	Direct, Breaks atomic.Int64
	Cors           bool // it lets pages of any origin call
}

func (p *PlainApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") != "" {
		p.Direct.Add(1)
	}
	if p.Cors {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "*")
		if r.Method == http.MethodOptions {
			return
		}
	}
	switch r.URL.Path {
	case "/break":
		p.Breaks.Add(1)
		panic(http.ErrAbortHandler)
	case "/echo":
		websocket.Server{Handler: func(ws *websocket.Conn) { _, _ = io.Copy(ws, ws) }}.ServeHTTP(w, r)
	case "/many":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, strings.Repeat("data: one\n\n", 1000))
	case "/ticks":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "retry: 1\nid: %s+\ndata: after %s\n\n", r.Header.Get("Last-Event-ID"), r.Header.Get("Last-Event-ID"))
	default:
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path)
	}
}

// ByHand connects a server that knows plain keys only.
func (w *World) ByHand(app http.Handler, name string) (api.Connection, *httptest.Server) {
	w.T.Helper()
	srv := httptest.NewUnstartedServer(app)
	srv.Config.SetKeepAlivesEnabled(false) // Chromium sends a request again when a kept connection turns out to be dead
	srv.Start()
	w.T.Cleanup(srv.Close)
	key := bridge.NewSecret("a-plain-key").Disclose()
	connection, err := w.Admin.Register(w.T.Context(), api.RegisterRequest{ServerURL: srv.URL, Name: name, APIKey: &key})
	if err != nil {
		w.T.Fatal(err)
	}
	return connection, srv
}

// Share shows a connection to the whole organization.
func (w *World) Share(connection api.Connection) {
	w.T.Helper()
	if _, err := w.Admin.Patch(w.T.Context(), connection.ID, api.ConnectionPatch{Visibility: new("organization")}); err != nil {
		w.T.Fatal(err)
	}
}

// CloudKey is a key of the cloud itself.
func (w *World) CloudKey(kind bridge.KeyKind) string {
	w.T.Helper()
	key, err := w.Admin.CreateKey(w.T.Context(), api.CreateKeyRequest{Name: "of the tests", Kind: string(kind)})
	if err != nil {
		w.T.Fatal(err)
	}
	return key.Key.Reveal()
}

// Background runs what a cloud does beside answering, until the test ends.
func (w *World) Background() {
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { _ = w.Cloud.Run(ctx); close(stopped) }()
	w.T.Cleanup(func() { stop(); <-stopped })
}

// Check probes a connection, which changes its status.
func (w *World) Check(connection api.Connection) {
	w.T.Helper()
	if _, err := w.Admin.Check(w.T.Context(), connection.ID); err != nil {
		w.T.Fatal(err)
	}
}

// Listen opens a stream of live status, and keeps it open until the test ends or it is told to end.
func (w *World) Listen(token bridge.Secret) (end func()) {
	w.T.Helper()
	req, err := http.NewRequestWithContext(w.T.Context(), http.MethodGet, w.CloudURL.Join("/v1/connections/events"), nil)
	if err != nil {
		w.T.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.T.Fatal(resp, err)
	}
	end = func() { _ = resp.Body.Close() }
	w.T.Cleanup(end)
	return end
}

// ThreeConnections is a world whose admin has connections of three servers that are away, and the environment of that
// admin.
func ThreeConnections(t *testing.T) (*World, []string) {
	t.Helper()
	w := New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	key := bridge.NewKey(bridge.KindSK, [16]byte{1}).Text().Disclose()
	for name, url := range map[string]string{"laptop": "http://127.0.0.1:1", "office": "http://127.0.0.1:2", "cellar": "http://127.0.0.1:3"} {
		if _, err := w.Admin.Register(t.Context(), api.RegisterRequest{ServerURL: url, Name: name, APIKey: &key}); err != nil {
			t.Fatal(err)
		}
	}
	token, _, err := w.Cloud.DeveloperToken(t.Context(), "admin@acme.test", "acme")
	if err != nil {
		t.Fatal(err)
	}
	return w, []string{"ACE_ENV=" + string(w.CloudURL), "ACE_TOKEN=" + token.Reveal()}
}

// Names are the names of the admin's connections, with spaces between them.
func (w *World) Names() string {
	w.T.Helper()
	connections, err := w.Admin.Connections(w.T.Context())
	if err != nil {
		w.T.Fatal(err)
	}
	var names []string
	for _, c := range connections {
		names = append(names, c.Name)
	}
	return strings.Join(names, " ")
}

// TokenOf is a developer token of one of the world's people.
func (w *World) TokenOf(name string) string {
	w.T.Helper()
	token, _, err := w.Cloud.DeveloperToken(w.T.Context(), name+"@acme.test", "acme")
	if err != nil {
		w.T.Fatal(err)
	}
	return token.Reveal()
}

// Again signs somebody in once more, after time has passed.
func (w *World) Again(name string) *apiclient.Cloud {
	w.T.Helper()
	token, _, err := w.Cloud.DeveloperToken(w.T.Context(), name+"@acme.test", "acme")
	if err != nil {
		w.T.Fatal(err)
	}
	return apiclient.NewCloud(w.CloudURL, token, api.ClientConfig{})
}

// Work has the cloud do its background work until the admin sees a connection that is as wanted.
func (w *World) Work(id string, wanted func(api.Connection) bool) api.Connection {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.T.Context(), 30*time.Second)
	stopped := make(chan struct{})
	go func() { _ = w.Cloud.Run(ctx); close(stopped) }()
	defer func() { cancel(); <-stopped }()
	admin, look := w.Again("admin"), time.NewTicker(20*time.Millisecond)
	defer look.Stop()
	for {
		c, err := admin.Connection(w.T.Context(), id)
		if err != nil {
			w.T.Fatal(err)
		}
		if wanted(c) {
			return c
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			w.T.Fatalf("the cloud has come no further than %+v %+v", c, c.Rotation)
		}
	}
}

// Relay begins a call through the relay, and returns its answer as it comes.
func (w *World) Relay(name, path string) io.Reader {
	w.T.Helper()
	token, _, err := w.Cloud.DeveloperToken(w.T.Context(), name+"@acme.test", "acme")
	if err != nil {
		w.T.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.T.Context(), http.MethodGet, string(w.CloudURL)+path, nil)
	if err != nil {
		w.T.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = resp.Body.Close() })
	return resp.Body
}

// OperatorAgain is the server's operator, with a token of now.
func (w *World) OperatorAgain() *apiclient.Server {
	w.T.Helper()
	token, err := server.MintUserToken(w.JwtSecret, "ops", bridge.RoleAdmin, time.Hour, w.Now())
	if err != nil {
		w.T.Fatal(err)
	}
	return w.Operator.As(token)
}

// Page is one of the dashboard's, as the admin sees it.
func (w *World) Page(path string) string {
	w.T.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	send := func(method, path, body, cookie string) *http.Response {
		r, err := http.NewRequestWithContext(w.T.Context(), method, string(w.CloudURL)+path, strings.NewReader(body))
		if err != nil {
			w.T.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		resp, err := client.Do(r)
		if err != nil {
			w.T.Fatal(err)
		}
		w.T.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	signedIn := send(http.MethodPost, "/login", url.Values{"email": {"admin@acme.test"}, "password": {Password}}.Encode(), "")
	cookie, _, _ := strings.Cut(signedIn.Header.Get("Set-Cookie"), ";")
	body, err := io.ReadAll(send(http.MethodGet, path, "", cookie).Body)
	if err != nil {
		w.T.Fatal(err)
	}
	return string(body)
}

// AuditOf are the entries of one action in the server's audit log.
func (w *World) AuditOf(action string) []api.AuditEntry {
	w.T.Helper()
	req, err := http.NewRequestWithContext(w.T.Context(), http.MethodGet, w.URL.Join("/ace/v1/audit?action="+action), nil)
	if err != nil {
		w.T.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.OperatorToken.Reveal())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var list api.List[api.AuditEntry]
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		w.T.Fatal(err)
	}
	return list.Items
}

// Stream opens a stream straight at the server, which has begun when this returns; ended is closed when it has ended.
func (w *World) Stream(c api.Credential) (ended <-chan struct{}) {
	w.T.Helper()
	r, err := http.NewRequestWithContext(w.T.Context(), http.MethodGet, c.ServerURL.Join("/events"), nil)
	if err != nil {
		w.T.Fatal(err)
	}
	r.Header.Set(c.Header, c.Value.Reveal())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.T.Fatal(err)
	}
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "data: hello\n" {
		w.T.Fatalf("the stream begins with %q (%v)", line, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, lines)
		_ = resp.Body.Close()
	}()
	return done
}
