package cloud_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/who"
)

// keysServer stands in for an ace server: it records its requests, and answers as a test sets.
type keysServer struct {
	*httptest.Server
	mu      sync.Mutex
	asked   []string // method, path and subject of the access token
	answers map[string]http.HandlerFunc
}

func (s *keysServer) set(call string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[call] = h
}

func (s *keysServer) calls(call string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.asked {
		if a == call {
			n++
		}
	}
	return n
}

func answer(status int, body any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
}

func refuse(kind bridge.Kind, code bridge.Code, detail string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { api.WriteProblem(w, bridge.E(kind, code, "%s", detail)) }
}

// keysServer registers a connection to a server that lists one key beside the connection's own.
func (f *fixture) keysServer() (s *keysServer, connection api.Connection, listed api.APIKey) {
	f.t.Helper()
	s = &keysServer{answers: map[string]http.HandlerFunc{}}
	own := bridge.NewKey(bridge.KindSK, uuid.New())
	listed = api.APIKey{KeyID: uuid.NewString(), Name: "ci <b>", Kind: "live", Status: "active", Prefix: "ace_live_x", Owner: "ann@acme.test", Scopes: []string{"app:read"}}
	s.set("GET /ace/v1/me", answer(http.StatusOK, api.Identity{Type: "access_token", Subject: "x", Scopes: []string{"app:*", "key:*"}}))
	s.set("GET /ace/v1/scopes", answer(http.StatusOK, catalogue.Builtin().File()))
	s.set("GET /ace/v1/api-keys", answer(http.StatusOK, api.List[api.APIKey]{Items: []api.APIKey{listed,
		{KeyID: own.ID.String(), Name: "the connection", Kind: "sk", Status: "active", Owner: "ann@acme.test"}}}))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		call := r.Method + " " + r.URL.Path
		s.asked = append(s.asked, call)
		h := s.answers[call]
		s.mu.Unlock()
		presented, err := bridge.Credential(r.Header)
		if err != nil || bridge.TokenType(presented.Value) != bridge.TypeAccess {
			f.t.Errorf("%s was called with something else than an access token", call)
		}
		if h == nil {
			h = http.NotFound
		}
		h(w, r)
	}))
	f.t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	key := own.Text().Disclose()
	connection, err := f.client().Register(f.t.Context(), api.RegisterRequest{ServerURL: s.URL, APIKey: &key})
	if err != nil {
		f.t.Fatal(err)
	}
	return s, connection, listed
}

func TestServerKeysPage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	s, connection, listed := f.keysServer()
	path, cookie := "/connections/"+connection.ID+"/keys", f.signIn()
	page := f.page(path, cookie)
	for _, want := range []string{"ci &lt;b&gt;", path + "/" + listed.KeyID + "/rotate", "own key", `value="read-only"`, `value="app:write"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Contains(page, path+"/"+connection.KeyID+"/") || strings.Contains(page, "<b>") {
		t.Errorf("the page:\n%s", page)
	}
	if f.auditOf("connection.relay") == nil {
		t.Error("that the server was called is not audited")
	}

	// The page offers only what the caller's role, the ceiling and the connection's key allow.
	s.set("GET /ace/v1/me", answer(http.StatusOK, api.Identity{Type: "access_token", Scopes: []string{"app:read", "key:list"}}))
	if page := f.page(path, cookie); strings.Contains(page, path+"/"+listed.KeyID+"/") || strings.Contains(page, "Revoke…") || strings.Contains(page, `name="preset"`) ||
		!strings.Contains(page, "Your access to this server lets you see keys") {
		t.Errorf("more is offered than the server will do:\n%s", page)
	}

	// A member who may not use the connection does not make the cloud call its server.
	f.member("bob@acme.test", bridge.RoleMember)
	before := s.calls("GET /ace/v1/api-keys")
	bob := f.signInAs("bob@acme.test")
	if resp, _ := f.do("GET", path, "", "Cookie", bob); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a stranger got %d", resp.StatusCode)
	}
	for _, action := range []string{"", "/" + listed.KeyID + "/revoke"} {
		if resp, _ := f.post(path+action, bob, url.Values{"name": {"x"}, "sure": {"yes"}}); resp.StatusCode != http.StatusNotFound {
			t.Errorf("a stranger's %q got %d", action, resp.StatusCode)
		}
	}
	if resp, _ := f.do("POST", path, "name=x", "Content-Type", formType, "Cookie", cookie, "Sec-Fetch-Site", "cross-site"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another site's form got %d", resp.StatusCode)
	}
	if s.calls("GET /ace/v1/api-keys") != before || s.calls("POST /ace/v1/api-keys") != 0 {
		t.Error("the server was called for them")
	}
}

func TestServerKeysForms(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	s, connection, listed := f.keysServer()
	path, cookie := "/connections/"+connection.ID+"/keys", f.signIn()
	key := bridge.NewKey(bridge.KindLive, uuid.New())
	made := api.CreatedKey{Key: key.Text().Disclose(), APIKey: api.APIKey{KeyID: key.ID.String(), Name: "new"}}
	secret := key.Text().Reveal()
	s.set("POST /ace/v1/api-keys", answer(http.StatusCreated, made))
	resp, page := f.post(path, cookie, url.Values{"name": {"new"}, "kind": {"live"}, "preset": {"app"}, "expires_in": {"7d"}})
	if resp.StatusCode != http.StatusCreated || strings.Count(page, secret) != 1 || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("create: %d %s", resp.StatusCode, page)
	}
	if strings.Contains(f.page(path, cookie), secret) {
		t.Error("the secret is shown twice")
	}
	again := bridge.NewKey(bridge.KindLive, uuid.MustParse(listed.KeyID))
	for _, action := range []string{"rotate", "revive"} {
		s.set("POST /ace/v1/api-keys/"+listed.KeyID+"/"+action, answer(http.StatusOK, api.CreatedKey{Key: again.Text().Disclose(), APIKey: listed}))
		resp, page := f.post(path+"/"+listed.KeyID+"/"+action, cookie, url.Values{"grace": {"1h"}, "expires_in": {"30d"}, "sure": {"yes"}, "rotation": {"0123456789abcdef"}})
		if resp.StatusCode != http.StatusOK || !strings.Contains(page, again.Text().Reveal()) {
			t.Errorf("%s: %d %s", action, resp.StatusCode, page)
		}
	}
	for action, call := range map[string]string{"disable": "POST /ace/v1/api-keys/" + listed.KeyID + "/disable", "enable": "POST /ace/v1/api-keys/" + listed.KeyID + "/enable",
		"revoke": "DELETE /ace/v1/api-keys/" + listed.KeyID} {
		s.set(call, answer(http.StatusOK, listed))
		if action == "revoke" {
			if resp, page := f.post(path+"/"+listed.KeyID+"/revive", cookie, nil); resp.StatusCode != http.StatusBadRequest || !strings.Contains(page, "sure") {
				t.Errorf("revived without asking: %d", resp.StatusCode)
			}
			if resp, page := f.post(path+"/"+listed.KeyID+"/revoke", cookie, nil); resp.StatusCode != http.StatusBadRequest || !strings.Contains(page, "sure") || s.calls(call) != 0 {
				t.Errorf("revoked without asking: %d", resp.StatusCode)
			}
		}
		resp, page := f.post(path+"/"+listed.KeyID+"/"+action, cookie, url.Values{"sure": {"yes"}})
		if resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), path+"?done=key-"+action) || s.calls(call) != 1 {
			t.Errorf("%s: %d %s\n%s", action, resp.StatusCode, resp.Header.Get("Location"), page)
		}
	}
	for _, action := range []string{"rotate", "revive", "disable", "revoke"} {
		resp, page := f.post(path+"/"+connection.KeyID+"/"+action, cookie, url.Values{"sure": {"yes"}})
		if resp.StatusCode != http.StatusConflict || !strings.Contains(page, "own key") {
			t.Errorf("%s of the connection's own key: %d", action, resp.StatusCode)
		}
	}
	for _, wrong := range []string{"/none/revoke", "/" + listed.KeyID + "/shout"} {
		if resp, _ := f.post(path+wrong, cookie, nil); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", wrong, resp.StatusCode)
		}
	}
	s.set("POST /ace/v1/api-keys", refuse(bridge.Invalid, "preset_unknown", "there is no <b>preset</b> `app`"))
	resp, page = f.post(path, cookie, url.Values{"name": {"kept"}, "preset": {"app"}})
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(page, "no &lt;b&gt;preset") || !strings.Contains(page, `value="kept"`) || strings.Contains(page, "<code>app</code>") {
		t.Errorf("a refusal: %d %s", resp.StatusCode, page)
	}
	s.set("POST /ace/v1/api-keys", answer(http.StatusCreated, api.CreatedKey{Key: bridge.NewSecret("<script>").Disclose(), APIKey: listed}))
	if resp, page := f.post(path, cookie, url.Values{"name": {"x"}}); resp.StatusCode < 400 || resp.StatusCode == http.StatusInternalServerError || strings.Contains(page, `id="new-key"`) {
		t.Errorf("something else than a key: %d", resp.StatusCode)
	}
}

// The page says what went wrong and what to do, whatever the server answers.
func TestServerKeysWithoutAList(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	s, connection, listed := f.keysServer()
	path, cookie := "/connections/"+connection.ID+"/keys", f.signIn()
	const list = "GET /ace/v1/api-keys"
	endless := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for range 3 << 10 {
			if _, err := w.Write([]byte(strings.Repeat(" ", 1<<10))); err != nil {
				return
			}
		}
	}
	for _, c := range []struct {
		name string
		h    http.HandlerFunc
		says string
	}{
		{"no scope", refuse(bridge.Forbidden, "scope_missing", "the scope key:list is missing"), "key:list is missing"},
		{"a dead key", refuse(bridge.Unauthenticated, "key_invalid", "no"), "ace connect --server " + s.URL},
		{"an error", refuse(bridge.Internal, "internal", "secret path"), "nswers with an error"},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "does not speak the API"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.test", http.StatusFound)
		}, "does not speak the API"},
		{"nothing there", http.NotFound, "does not speak the API"},
		{"more than is taken", endless, "does not speak the API"},
		{"a hang-up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "othing answers"},
	} {
		s.set(list, c.h)
		page := f.page(path, cookie)
		if !strings.Contains(page, c.says) || !strings.Contains(page, "ace api-key list --server "+s.URL) || strings.Contains(page, "secret path") {
			t.Errorf("%s:\n%s", c.name, page)
		}
		if resp, page := f.post(path+"/"+listed.KeyID+"/revoke", cookie, url.Values{"sure": {"yes"}}); resp.StatusCode == http.StatusInternalServerError || !strings.Contains(page, `role="alert"`) {
			t.Errorf("%s, a form: %d", c.name, resp.StatusCode)
		}
	}
	many := make([]api.APIKey, 300)
	for i := range many {
		many[i] = api.APIKey{KeyID: uuid.NewString(), Name: strings.Repeat("x", 5000), Status: "active"}
	}
	s.set(list, answer(http.StatusOK, api.List[api.APIKey]{Items: many[:150], NextCursor: "a b&c"}))
	if page := f.page(path, cookie); strings.Count(page, `id="key-`) != 50 || strings.Contains(page, strings.Repeat("x", 300)) || !strings.Contains(page, "cursor=a&#43;b%26c") {
		t.Error("a long list is shown as it came")
	}
	s.set(list, answer(http.StatusOK, api.List[api.APIKey]{}))
	s.set("GET /ace/v1/scopes", http.NotFound)
	s.set("GET /ace/v1/me", http.NotFound)
	if page := f.page(path, cookie); !strings.Contains(page, "No key here") || !strings.Contains(page, `<textarea name="scope"`) {
		t.Errorf("an empty list, and no catalogue:\n%s", page)
	}
}

func TestServerKeysOfAPlainServer(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	_, connection := f.behind(func(http.ResponseWriter, *http.Request) { t.Error("the server was called") })
	path, cookie := "/connections/"+connection.ID+"/keys", f.signIn()
	if page := f.page(path, cookie); !strings.Contains(page, "No list of keys") || !strings.Contains(page, "ace connect --server") {
		t.Errorf("the page:\n%s", page)
	}
	if resp, page := f.post(path, cookie, url.Values{"name": {"x"}}); resp.StatusCode != http.StatusConflict || strings.Contains(page, plainKey) {
		t.Errorf("a form: %d", resp.StatusCode)
	}
}

// Calls to a server that does not answer count towards the member's relay limit.
func TestServerKeysTakeTurns(t *testing.T) {
	f := startWith(t, sqldbtest.SQLite(t), func(c *cloud.Config) { c.RelayLimits = who.RelayLimits{Member: 1} })
	s, connection, _ := f.keysServer()
	path, cookie := "/connections/"+connection.ID+"/keys", f.signIn()
	asked, release := make(chan struct{}), make(chan struct{})
	s.set("GET /ace/v1/api-keys", func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
	})
	first := make(chan struct{})
	go func() {
		defer close(first)
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+path, http.NoBody)
		req.Header.Set("Cookie", cookie)
		if resp, err := f.http.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-asked
	resp, _ := f.do("GET", path, "", "Cookie", cookie)
	close(release)
	<-first
	if resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("while the server has not answered, the next got %d", resp.StatusCode)
	}
}
