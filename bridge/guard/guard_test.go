package guard_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/guard"
)

// authority is a key authority that knows a single key.
type authority struct {
	key  bridge.Key
	id   bridge.Identity
	mu   sync.Mutex
	dead bool
	uses int
}

func newAuthority(scopes ...bridge.Scope) *authority {
	key := bridge.NewKey(bridge.KindLive, uuid.Must(uuid.NewV7()))
	return &authority{key: key, id: bridge.Identity{Type: bridge.TypeAPIKey, KeyID: key.ID, Kind: key.Kind, Subject: "ann", Org: "acme",
		Environment: bridge.EnvironmentLive, Scopes: scopes}}
}

func (a *authority) Verify(_ context.Context, p bridge.Presented, _ bridge.Use) (bridge.Identity, error) {
	if !p.Value.Equal(a.key.Text()) || !a.Alive(a.id) {
		return bridge.Identity{}, bridge.E(bridge.Unauthenticated, "key_invalid", "API key is invalid or expired")
	}
	return a.id, nil
}

func (a *authority) Spend(context.Context, bridge.Identity) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.uses++
	return nil
}

func (a *authority) Alive(bridge.Identity) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.dead
}

func (a *authority) die() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dead = true
}

func rules(t testing.TB) catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Parse([]byte(`
scopes: {"doc:read": read, "doc:write": write}
roles: {viewer: {scopes: ["doc:read"]}, member: {scopes: ["*"]}, admin: {scopes: ["*"]}, owner: {scopes: ["*"]}}
no_match: deny
rules:
  - {path: "/docs/{id...}", methods: [GET], require: ["doc:read"]}
  - {path: /do, methods: [POST], tool: body.op, tools: [{names: ["read_*"], require: ["doc:read"]}, {names: ["*"], require: ["doc:write"]}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func protect(t testing.TB, a *authority, app http.Handler) (*httptest.Server, *guard.Guard) {
	t.Helper()
	g := guard.New(guard.Config{Verifier: guard.Local{Authority: a, Catalogue: rules(t)}, MaxBody: 1000})
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { _ = g.Run(ctx); close(ran) }()
	ts := httptest.NewServer(g.Wrap(app))
	t.Cleanup(func() { ts.CloseClientConnections(); ts.Close(); stop(); <-ran })
	return ts, g
}

func TestWrap(t *testing.T) {
	a := newAuthority("doc:read")
	ts, _ := protect(t, a, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := guard.FromContext(r.Context())
		if !ok || id.Subject != "ann" || r.Header.Get("X-Ace-Subject") != "ann" || len(r.Header["X-Ace-Role"]) != 0 || r.Header.Get("Authorization") != "" {
			t.Errorf("the app sees %v %v", id, r.Header)
		}
		_, _ = io.Copy(w, r.Body)
	}))
	bearer := "Bearer " + a.key.Text().Reveal()
	for _, c := range []struct {
		method, path, body, auth string
		status                   int
		challenge                string
	}{
		{"GET", "/docs/1", "", bearer, 200, ""},
		{"GET", "/docs/1", "", "", 401, `Bearer realm="ace"`},
		{"GET", "/docs/1", "", "Bearer " + bridge.NewKey(bridge.KindLive, a.key.ID).Text().Reveal(), 401, `Bearer realm="ace", error="invalid_token"`},
		{"PUT", "/docs/1", "", bearer, 403, ""},
		{"POST", "/do", `{"op":"read_it"}`, bearer, 200, ""},
		{"POST", "/do", `{"op":"write_it"}`, bearer, 403, `Bearer realm="ace", error="insufficient_scope", scope="doc:write"`},
		{"POST", "/do", `{"op":"read_it","x":"` + strings.Repeat("x", 1000) + `"}`, bearer, 413, ""},
		{"GET", "/docs//1", "", bearer, 400, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, ts.URL+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header["X_Ace_Role"], req.Header["x-ace-subject"] = []string{"root"}, []string{"root"}
		if c.auth != "" {
			req.Header.Set("Authorization", c.auth)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.status || resp.Header.Get("WWW-Authenticate") != c.challenge || resp.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s %.40s: %d %v %s", c.method, c.path, c.body, resp.StatusCode, resp.Header, body)
		}
		if c.status == 200 && string(body) != c.body {
			t.Errorf("the app was given the body %q, the client sent %q", body, c.body)
		}
	}
	if a.uses != 2 {
		t.Errorf("%d uses are counted; only what passes is one", a.uses)
	}
}

// TestCut checks that an open request is cut when its key dies, even if the handler ignores its context or has hijacked the
// connection, and that the next request on the same connection is left alone.
func TestCut(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"watches its context": func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"only writes": func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := io.WriteString(w, "x"); err != nil || http.NewResponseController(w).Flush() != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		},
		"hijacks": func(w http.ResponseWriter, _ *http.Request) {
			conn, rw, err := w.(http.Hijacker).Hijack() //nolint:forcetypeassert // as apps do
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
			_ = rw.Flush()
			_, _ = io.Copy(io.Discard, conn)
		},
		"hijacks and returns": func(w http.ResponseWriter, _ *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
			_ = rw.Flush()
			go func() { _, _ = io.Copy(io.Discard, conn); _ = conn.Close() }()
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority("doc:*")
			ts, _ := protect(t, a, handler)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ts.URL+"/docs/1", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-API-Key", a.key.Text().Reveal())
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			a.die()
			ended := make(chan struct{})
			go func() { _, _ = io.Copy(io.Discard, resp.Body); close(ended) }()
			select {
			case <-ended:
			case <-time.After(15 * time.Second):
				t.Error("it goes on")
			}
		})
	}
}

// FuzzStripInbound checks that no spelling of an identity header survives.
func FuzzStripInbound(f *testing.F) {
	f.Add("X-Ace-Subject", "X_ace.Scopes")
	f.Add("x-aCe-Api-Key", "X-Http-Method-Override")
	f.Add("0", "X\u010dACe ")
	f.Fuzz(func(t *testing.T, one, two string) {
		h := http.Header{one: {"a"}, two: {"b"}}
		guard.StripInbound(h)
		for name := range h {
			if strings.HasPrefix(bridge.FoldHeader(name), "x-ace-") || catalogue.Overrides(name) {
				t.Errorf("%q is left", name)
			}
		}
	})
}
