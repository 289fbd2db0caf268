package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/server"
)

func shipped(t *testing.T, name string) catalogue.Catalogue {
	t.Helper()
	raw, err := os.ReadFile("../configs/scopes/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalogue.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// services configures a server with the catalogue of that name; every test's peer is a trusted proxy.
func services(t *testing.T) func(*server.Config) {
	return func(c *server.Config) {
		c.Catalogue = shipped(t, "services")
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	}
}

// mint creates a key with a body of POST /ace/v1/api-keys.
func (f *fixture) mint(body string) (key, id string) {
	f.t.Helper()
	resp, answer := f.do(http.MethodPost, "/ace/v1/api-keys", body, "X-Api-Key", f.admin.Reveal())
	var created struct {
		Key   string
		KeyID string `json:"key_id"`
	}
	if err := json.Unmarshal([]byte(answer), &created); err != nil || resp.StatusCode != http.StatusCreated {
		f.t.Fatalf("create a key: %d %s", resp.StatusCode, answer)
	}
	return created.Key, created.KeyID
}

func (f *fixture) revoke(id string) {
	f.t.Helper()
	if resp, body := f.do(http.MethodDelete, "/ace/v1/api-keys/"+id, "", "X-Api-Key", f.admin.Reveal()); resp.StatusCode != 200 {
		f.t.Fatalf("revoke: %d %s", resp.StatusCode, body)
	}
}

func toolCall(name string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, name)
}

func TestToolCallsAtTheGateway(t *testing.T) {
	var reached atomic.Int64
	f := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		_, _ = io.Copy(w, r.Body)
	}), services(t))
	key, _ := f.mint(`{"name":"wiki","scopes":["org:acme","agent:*","svc:wiki:read","svc:mcp:read"]}`)
	const invoke, mcp = "/api/v1/mcp/tools/invoke", "/mcp"
	for _, c := range []struct {
		path, body string
		status     int
		scope      string
	}{
		{invoke, `{"tool":"wiki_graph_vector_search","arguments":{"q":"x"}}`, 200, ""},
		{invoke, `{"tool":"tasks_create","arguments":{}}`, 403, "svc:tasks:write"},
		{invoke, `{"tool":"wiki_graph_vector_search","tool":"tasks_create"}`, 403, ""},
		{invoke, `{"TOOL":"wiki_graph_vector_search"}`, 403, ""},
		{invoke, ``, 403, ""},
		{invoke, `{"tool":"wiki_graph_vector_search"} {"tool":"tasks_create"}`, 403, ""},
		{mcp, toolCall("wiki_graph_vector_search"), 200, ""},
		{mcp, "[" + toolCall("wiki_graph_vector_search") + "," + toolCall("wiki_page_get") + "]", 200, ""},
		{mcp, "[" + toolCall("wiki_graph_vector_search") + "," + toolCall("tasks_delete") + "]", 403, "svc:tasks:write"},
		{"/somewhere", ``, 403, ""},
		{invoke, `{"tool":"wiki_graph_vector_search","arguments":"` + strings.Repeat("x", 1<<20) + `"}`, 413, ""},
	} {
		before := reached.Load()
		resp, body := f.do(http.MethodPost, c.path, c.body, "X-Api-Key", key)
		if resp.StatusCode != c.status {
			t.Errorf("%s %.80s: %d %s, want %d", c.path, c.body, resp.StatusCode, body, c.status)
		}
		if passed := reached.Load() != before; passed != (c.status == 200) || (passed && body != c.body) {
			t.Errorf("%s %.80s: the app was reached: %v; it got %.80q", c.path, c.body, passed, body)
		}
		challenge := resp.Header.Get("WWW-Authenticate")
		if want := `Bearer realm="ace", error="insufficient_scope", scope="` + c.scope + `"`; c.scope != "" && challenge != want {
			t.Errorf("%s: WWW-Authenticate is %q, want %q", c.body, challenge, want)
		}
	}
	search := `{"tool":"wiki_graph_vector_search"}`
	for _, header := range [][]string{{"Content-Encoding", "gzip"}, {"X-HTTP-Method-Override", "DELETE"}, {"X_Original_URL", "/x"},
		{"Content-Type", "application/json; charset=utf-16"}} {
		if resp, body := f.do(http.MethodPost, invoke, search, append(header, "X-Api-Key", key)...); resp.StatusCode != 403 {
			t.Errorf("%v: %d %s", header, resp.StatusCode, body)
		}
	}
}

func TestForwardAuthDecides(t *testing.T) {
	f := start(t, nil, services(t))
	key, _ := f.mint(`{"name":"wiki","scopes":["svc:wiki:read"]}`)
	near, _ := f.mint(`{"name":"near","scopes":["svc:wiki:read"],"allow_from":["203.0.113.0/24"]}`)
	rated, _ := f.mint(`{"name":"rated","scopes":["svc:wiki:read"],"rate":"1/h"}`)
	ask := func(key string, headers ...string) (int, string) {
		resp, body := f.do(http.MethodGet, "/ace/v1/verify", "", append(headers, "X-Api-Key", key)...)
		return resp.StatusCode, body
	}
	forwarded := func(method, uri string) []string {
		return []string{"X-Forwarded-Method", method, "X-Forwarded-Uri", uri}
	}
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"allowed":             {forwarded("GET", "/api/v1/wiki/pages?q=1"), 204},
		"denied":              {forwarded("POST", "/api/v1/tasks"), 403},
		"by habit":            {[]string{"X-Original-Method", "GET", "X-Original-Uri", "/api/v1/wiki/pages"}, 204},
		"both":                {append(forwarded("GET", "/api/v1/wiki/pages"), "X-Original-Uri", "/api/v1/wiki/pages"), 204},
		"they differ":         {append(forwarded("GET", "/api/v1/wiki/pages"), "X-Original-Uri", "/api/v1/tasks"), 403},
		"folded":              {append(forwarded("GET", "/api/v1/wiki/pages"), "X_Forwarded_Uri", "/api/v1/tasks"), 403},
		"twice":               {append(forwarded("GET", "/api/v1/wiki/pages"), "X-Forwarded-Uri", "/api/v1/wiki/pages"), 403},
		"none":                {nil, 403},
		"no method":           {[]string{"X-Forwarded-Uri", "/api/v1/wiki/pages"}, 403},
		"dots":                {forwarded("GET", "/api/v1/wiki/../tasks"), 403},
		"an encoded slash":    {forwarded("GET", "/api/v1/wiki%2fpages"), 403},
		"an absolute URI":     {forwarded("GET", "http://x/api/v1/wiki/pages"), 403},
		"lower case":          {forwarded("get", "/api/v1/wiki/pages"), 403},
		"needs the body":      {forwarded("POST", "/api/v1/mcp/tools/invoke"), 403},
		"a URL overridden":    {append(forwarded("GET", "/api/v1/wiki/pages"), "X-Original-Url", "/api/v1/tasks"), 403},
		"and spelled oddly":   {append(forwarded("GET", "/api/v1/wiki/pages"), "X_original_url", "/api/v1/tasks"), 403},
		"a header like ours":  {append(forwarded("GET", "/api/v1/wiki/pages"), "X~Ace-Subject", "root"), 403},
		"a method overridden": {append(forwarded("GET", "/api/v1/wiki/pages"), "X-Http-Method-Override", "DELETE"), 403},
	} {
		if status, body := ask(key, c.headers...); status != c.status {
			t.Errorf("%s: %d %s, want %d", name, status, body, c.status)
		}
	}
	page := forwarded("GET", "/api/v1/wiki/pages")
	if status, body := ask(near, append(page, "X-Forwarded-For", "203.0.113.9")...); status != 204 {
		t.Errorf("from an allowed address: %d %s", status, body)
	}
	if status, body := ask(near, append(page, "X-Forwarded-For", "203.0.113.9, 198.51.100.1")...); status != 401 || f.code(body) != "key_invalid" {
		t.Errorf("from another address: %d %s", status, body)
	}
	for _, want := range []int{204, 429} {
		if status, body := ask(rated, page...); status != want {
			t.Errorf("a key of one use an hour: %d %s, want %d", status, body, want)
		}
	}
	untrusting := start(t, nil, func(c *server.Config) { c.Catalogue = shipped(t, "services") })
	key, _ = untrusting.mint(`{"name":"wiki","scopes":["svc:wiki:read"]}`)
	resp, body := untrusting.do(http.MethodGet, "/ace/v1/verify", "", append(page, "X-Api-Key", key)...)
	if resp.StatusCode != 403 {
		t.Errorf("headers of nobody in particular are believed: %d %s", resp.StatusCode, body)
	}
	if why := untrusting.why(resp); why.Cause != "proxy_untrusted" || !strings.Contains(why.Hint, "ACE_TRUSTED_PROXIES") {
		t.Errorf("why: %+v", why)
	}
}

// why asks the server why it gave a response.
func (f *fixture) why(resp *http.Response) api.Refusal {
	f.t.Helper()
	var r api.Refusal
	answer, body := f.do(http.MethodGet, "/ace/v1/refusals/"+resp.Header.Get("X-Request-Id"), "", "X-Api-Key", f.admin.Reveal())
	if err := json.Unmarshal([]byte(body), &r); err != nil || answer.StatusCode != 200 {
		f.t.Fatalf("why: %d %s", answer.StatusCode, body)
	}
	return r
}

func TestWhy(t *testing.T) {
	f := start(t, http.HandlerFunc(echoHeaders), services(t))
	good, _ := f.mint(`{"name":"wiki","scopes":["svc:wiki:read"]}`)
	revoked, id := f.mint(`{"name":"gone","scopes":["svc:wiki:read"]}`)
	f.revoke(id)
	far, _ := f.mint(`{"name":"far","scopes":["svc:wiki:read"],"allow_from":["192.0.2.0/24"]}`)
	unknown := bridge.NewKey(bridge.KindLive, uuid.New()).Text().Reveal()
	for _, c := range []struct {
		key, path string
		cause     bridge.Code
		scope     string
		audited   bool
	}{
		{good, "/api/v1/tasks", "scope_missing", "svc:tasks:read", true}, {good, "/nowhere", "no_rule", "", true},
		{revoked, "/api/v1/wiki/pages", "key_revoked", "", true}, {far, "/api/v1/wiki/pages", "key_address", "", true},
		{unknown, "/api/v1/wiki/pages", "key_unknown", "", false}, {good[:len(good)-1] + "~", "/x", "key_malformed", "", false},
	} {
		resp, body := f.do(http.MethodGet, c.path, "", "X-Api-Key", c.key)
		if strings.Contains(body, string(c.cause)) && c.cause != "scope_missing" {
			t.Errorf("the caller is told the cause: %s", body)
		}
		why := f.why(resp)
		if why.Cause != c.cause || why.Scope != c.scope || why.Path != c.path || why.Address != "127.0.0.1" {
			t.Errorf("%s: %+v", c.cause, why)
		}
		_, log := f.do(http.MethodGet, "/ace/v1/audit?action=access.refuse&request_id="+why.RequestID, "", "X-Api-Key", f.admin.Reveal())
		if strings.Contains(log, why.RequestID) != c.audited {
			t.Errorf("%s is in the audit log: %v: %s", c.cause, !c.audited, log)
		}
	}
	if resp, _ := f.do(http.MethodGet, "/ace/v1/refusals/x", "", "X-Api-Key", good); resp.StatusCode != 403 {
		t.Errorf("anybody may ask why: %d", resp.StatusCode)
	}
}

func (f *fixture) introspect(asker, token string, more ...string) (int, api.Introspection) {
	f.t.Helper()
	form := url.Values{"token": {token}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.url+"/ace/v1/introspect", strings.NewReader(form.Encode()))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Api-Key", asker)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var a api.Introspection
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		f.t.Fatal(err)
	}
	return resp.StatusCode, a
}

func TestIntrospection(t *testing.T) {
	f := start(t, nil, services(t))
	asker, _ := f.mint(`{"name":"app","scopes":["key:read"]}`)
	tester, _ := f.mint(`{"name":"app","kind":"test","scopes":["key:read"]}`)
	key, id := f.mint(`{"name":"k","scopes":["svc:wiki:read"]}`)
	if status, a := f.introspect(asker, key, "method", "GET", "uri", "/api/v1/wiki/pages"); status != 200 || !a.Active || a.KeyID != id ||
		a.Scope != "agent:* org:acme svc:wiki:read" || a.Exp == 0 || a.TokenType != "Bearer" || a.Decision == nil || !a.Decision.Allowed {
		t.Errorf("%d %+v", status, a)
	}
	if _, a := f.introspect(asker, key, "method", "POST", "uri", "/api/v1/tasks"); a.Decision == nil || a.Decision.Allowed || a.Decision.Scope != "svc:tasks:write" {
		t.Errorf("a decision: %+v", a.Decision)
	}
	if status, a := f.introspect(tester, key); status != 200 || a.Active || a.KeyID != "" {
		t.Errorf("a test key learns of a live one: %+v", a)
	}
	if status, a := f.introspect(asker, "junk"); status != 200 || a.Active {
		t.Errorf("junk: %d %+v", status, a)
	}
	if status, _ := f.introspect(key, key); status != 403 {
		t.Errorf("who may not ask: %d", status)
	}
	limited, _ := f.mint(`{"name":"once","scopes":["svc:wiki:read"],"max_uses":1}`)
	for i, want := range []bool{true, true, false} {
		more := []string{}
		if i > 0 {
			more = []string{"spend", "true"}
		}
		if _, a := f.introspect(asker, limited, more...); a.Active != want {
			t.Errorf("question %d about a key of one use: active %v", i, a.Active)
		}
	}
	near, _ := f.mint(`{"name":"near","scopes":["svc:wiki:read"],"allow_from":["203.0.113.0/24"]}`)
	if _, a := f.introspect(asker, near, "client_address", "203.0.113.1"); !a.Active || !a.Metered {
		t.Errorf("from its address: %+v", a)
	}
	if _, a := f.introspect(asker, near); a.Active {
		t.Error("a key with an allowlist is active from nowhere")
	}
	f.revoke(id)
	if _, a := f.introspect(asker, key); a.Active {
		t.Error("a revoked key is active")
	}
}

func TestLeakReports(t *testing.T) {
	f := start(t, nil, nil)
	one, _ := f.mint(`{"name":"one"}`)
	two, _ := f.mint(`{"name":"two"}`)
	resp, body := f.do(http.MethodPost, "/ace/v1/leaks", `{"token":"`+one+`"}`)
	if resp.StatusCode != 200 || !strings.Contains(body, `"label":"true_positive"`) || strings.Contains(body, one) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	github := `[{"token":"` + two + `","type":"ace_api_key","url":"https://github.com/a/b/blob/c/d.env","source":"content"},` +
		`{"token":"ace_live_junk","type":"ace_api_key","url":"","source":"commit"}]`
	if resp, body = f.do(http.MethodPost, "/ace/v1/leaks", github); resp.StatusCode != 200 || strings.Count(body, "true_positive") != 1 ||
		strings.Count(body, "false_positive") != 1 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	for _, key := range []string{one, two} {
		if resp, _ := f.do(http.MethodGet, "/ace/v1/me", "", "X-Api-Key", key); resp.StatusCode != 401 {
			t.Errorf("a leaked key lives: %d", resp.StatusCode)
		}
	}
	_, list := f.do(http.MethodGet, "/ace/v1/api-keys", "", "X-Api-Key", f.admin.Reveal())
	if !strings.Contains(list, "leaked: https://github.com/a/b/blob/c/d.env") {
		t.Errorf("the list does not say why: %s", list)
	}
	for _, junk := range []string{"", "[]x", "{}", `[{"type":"x"}]`, `"x"`} {
		if resp, _ := f.do(http.MethodPost, "/ace/v1/leaks", junk); resp.StatusCode != 400 {
			t.Errorf("%q: %d", junk, resp.StatusCode)
		}
	}
}
