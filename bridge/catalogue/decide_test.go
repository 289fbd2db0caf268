package catalogue_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
)

func invoke(body string, headers ...string) catalogue.Request {
	return post("/api/v1/mcp/tools/invoke", body, headers...)
}

func post(path, body string, headers ...string) catalogue.Request {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h[headers[i]] = append(h[headers[i]], headers[i+1])
	}
	if h["Content-Type"] == nil {
		h["Content-Type"] = []string{"application/json"}
	}
	return catalogue.Request{Method: "POST", Path: path, Header: h, Body: func() ([]byte, error) { return []byte(body), nil }}
}

func get(path string, headers ...string) catalogue.Request {
	r := post(path, "", headers...)
	r.Method = "GET"
	return r
}

var services = []string{"mcp", "a2a", "super-agent", "tasks", "kb", "wiki", "admin"}

// TestServicesCells checks every service and capability against every other: by tool call, by MCP and by REST.
func TestServicesCells(t *testing.T) {
	c := shipped(t, "services")
	tiers := []string{"read", "write", "admin"}
	verb := map[string]string{"read": "list", "write": "delete", "admin": "settings_update"}
	for _, service := range services {
		for needTier, tier := range tiers {
			tool := strings.ReplaceAll(service, "-", "_") + "_" + verb[tier]
			rest := catalogue.Request{Method: "GET", Path: "/api/v1/" + service + "/items/7"}
			switch tier {
			case "write":
				rest.Method = "DELETE"
			case "admin":
				rest.Path = "/api/v1/" + service + "/settings"
			}
			for _, held := range services {
				for heldTier, ht := range tiers {
					id := holding("acme", "agent:*", "svc:"+held+":"+ht)
					want := held == service && heldTier >= needTier
					for how, r := range map[string]catalogue.Request{
						"invoke": invoke(`{"tool":"` + tool + `","arguments":{}}`),
						"mcp":    post("/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`"}}`),
						"rest":   rest,
					} {
						if err := c.Decide(id, r); (err == nil) != want {
							t.Errorf("%s of %s:%s with svc:%s:%s: %v", how, service, tier, held, ht, err)
						}
					}
				}
			}
		}
	}
}

func TestServicesDecisions(t *testing.T) {
	c := shipped(t, "services")
	wiki := holding("acme", "org:acme", "agent:*", "svc:wiki:read")
	cto := holding("acme", "org:acme", "agent:cto", "svc:mcp:write", "svc:tasks:write")
	call := func(tool string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
	}
	for _, test := range []struct {
		name string
		id   bridge.Identity
		r    catalogue.Request
		want bridge.Code
	}{
		{"wiki search", wiki, invoke(`{"tool":"wiki_graph_vector_search","arguments":{"q":"x"}}`), ""},
		{"tasks by a wiki key", wiki, invoke(`{"tool":"tasks_create"}`), "scope_missing"},
		{"tasks by REST with a wiki key", wiki, post("/api/v1/tasks/1", "{}"), "scope_missing"},
		{"wiki write by a reader", wiki, invoke(`{"tool":"wiki_page_update"}`), "scope_missing"},
		{"a verb that says nothing", wiki, invoke(`{"tool":"wiki_frobnicate"}`), "scope_missing"},
		{"the agent of the key", cto, invoke(`{"tool":"tasks_create"}`, "X-Agent", "cto"), ""},
		{"another agent", cto, invoke(`{"tool":"tasks_create"}`, "X-Agent", "ceo"), "scope_missing"},
		{"no agent named", cto, invoke(`{"tool":"tasks_create"}`), "scope_missing"},
		{"agent in the path", cto, get("/api/v1/agents/cto/tasks/1"), ""},
		{"another agent in the path", cto, get("/api/v1/agents/ceo/tasks/1"), "scope_missing"},
		{"agent header twice", cto, invoke(`{"tool":"tasks_create"}`, "X-Agent", "cto", "X-Agent", "ceo"), "value_ambiguous"},
		{"agent header with an underscore", cto, invoke(`{"tool":"tasks_create"}`, "X-Agent", "cto", "X_agent", "ceo"), "value_ambiguous"},
		{"agent *", cto, invoke(`{"tool":"tasks_create"}`, "X-Agent", "*"), "value_malformed"},
		{"agent with a colon", wiki, invoke(`{"tool":"wiki_list"}`, "X-Agent", "a:b"), "value_malformed"},
		{"agent in upper case", cto, invoke(`{"tool":"tasks_create"}`, "X-Agent", "CTO"), "value_malformed"},
		{"tool twice", wiki, invoke(`{"tool":"wiki_list","tool":"tasks_delete"}`), "body_malformed"},
		{"tool in two spellings", wiki, invoke(`{"tool":"wiki_list","Tool":"tasks_delete"}`), "body_ambiguous"},
		{"tool in another spelling", wiki, invoke(`{"TOOL":"wiki_list"}`), "body_ambiguous"},
		{"tool escaped", wiki, invoke(`{"to\u006fl":"tasks_delete","tool":"wiki_list"}`), "body_malformed"},
		{"no tool", wiki, invoke(`{"arguments":{}}`), "value_missing"},
		{"tool null", wiki, invoke(`{"tool":null}`), "value_missing"},
		{"tool a list", wiki, invoke(`{"tool":["wiki_list"]}`), "value_malformed"},
		{"two values", wiki, invoke(`{"tool":"wiki_list"}{"tool":"tasks_delete"}`), "body_malformed"},
		{"no JSON", wiki, invoke(`tool=wiki_list`), "body_malformed"},
		{"empty", wiki, invoke(``), "body_malformed"},
		{"gzip", wiki, invoke(`{"tool":"wiki_list"}`, "Content-Encoding", "gzip"), "body_encoded"},
		{"UTF-16", wiki, invoke(`{"tool":"wiki_list"}`, "Content-Type", "application/json; charset=utf-16"), "body_type"},
		{"a form that is JSON", wiki, invoke(`{"tool":"wiki_list","x":"&tool=tasks_delete&y="}`, "Content-Type", "application/x-www-form-urlencoded"), "body_type"},
		{"two types", wiki, invoke(`{"tool":"wiki_list"}`, "Content-Type", "application/json", "Content-Type", "text/plain"), "body_type"},
		{"a type that is JSON", wiki, invoke(`{"tool":"wiki_list"}`, "Content-Type", "application/vnd.acme+json"), ""},
		{"tool with a long s", wiki, post("/mcp", `{"method":"tools/call","params":{"name":"wiki_list"},"paramſ":{"name":"tasks_delete"}}`), "body_ambiguous"},
		{"a header that Connection takes away", cto, invoke(`{"tool":"tasks_create"}`, "X-Agent", "cto", "Connection", "close, X-Agent"), "value_ambiguous"},
		{"an honest Connection", cto, invoke(`{"tool":"tasks_create"}`, "X-Agent", "cto", "Connection", "Keep-Alive, Upgrade"), ""},
		{"a method in lower case", wiki, catalogue.Request{Method: "delete", Path: "/api/v1/wiki/1"}, "method_malformed"},
		{"a tool of upper case", wiki, invoke(`{"tool":"WIKI_list"}`), "value_malformed"},
		{"a tool of no service", cto, invoke(`{"tool":"calculator"}`, "X-Agent", "cto"), ""},
		{"trailing slash", wiki, post("/api/v1/mcp/tools/invoke/", `{"tool":"tasks_delete"}`), "scope_missing"},
		{"upper case in the path", wiki, post("/api/v1/MCP/tools/invoke", `{"tool":"wiki_list"}`), "path_ambiguous"},
		{"encoded letter", wiki, post("/api/v1/mcp/tools/%69nvoke", `{"tool":"tasks_delete"}`), "scope_missing"},
		{"path parameter", wiki, post("/api/v1/mcp;x/tools/invoke", `{"tool":"wiki_list"}`), "path_ambiguous"},
		{"encoded path parameter", wiki, get("/api/v1/wiki%3Bx"), "path_ambiguous"},
		{"dot segments", wiki, get("/api/v1/wiki/../tasks"), "path_ambiguous"},
		{"method override", wiki, get("/api/v1/wiki/1", "X-Http-Method-Override", "DELETE"), "override_header"},
		{"method override with underscores", wiki, get("/api/v1/wiki/1", "X_http_method_override", "DELETE"), "override_header"},
		{"another path in a header", wiki, get("/api/v1/wiki/1", "X-Original-Url", "/api/v1/tasks"), "override_header"},
		{"no rule", wiki, get("/metrics"), "no_rule"},
		{"HEAD is GET", wiki, catalogue.Request{Method: "HEAD", Path: "/api/v1/wiki/1"}, ""},
		{"a search by POST reads", wiki, post("/api/v1/wiki/search", "{}"), ""},
		{"mcp call", wiki, post("/mcp", call("wiki_graph_vector_search")), ""},
		{"mcp batch", wiki, post("/mcp", "["+call("wiki_list")+","+call("wiki_get")+"]"), ""},
		{"mcp batch with one too many", wiki, post("/mcp", "["+call("wiki_list")+","+call("tasks_delete")+"]"), "scope_missing"},
		{"mcp empty batch", wiki, post("/mcp", "[]"), "body_malformed"},
		{"mcp batch of batches", wiki, post("/mcp", "[["+call("wiki_list")+"]]"), "body_malformed"},
		{"mcp batch of very many", wiki, post("/mcp", "["+strings.Repeat(call("wiki_list")+",", 100)+call("wiki_list")+"]"), "body_malformed"},
		{"mcp initialize", wiki, post("/mcp", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`), ""},
		{"mcp tools/list by a wiki key", wiki, post("/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`), "scope_missing"},
		{"mcp tools/list", cto, post("/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, "X-Agent", "cto"), ""},
		{"mcp unknown method", wiki, post("/mcp", `{"jsonrpc":"2.0","id":1,"method":"sampling/x"}`), "operation_unknown"},
		{"a tool called as a message is", wiki, post("/mcp", call("initialize")), "scope_missing"},
		{"mcp response", wiki, post("/mcp", `{"jsonrpc":"2.0","id":1,"result":{}}`), ""},
		{"mcp request and response", wiki, post("/mcp", `{"jsonrpc":"2.0","id":1,"result":{},"method":"tools/call","params":{"name":"wiki_list"}}`), "value_ambiguous"},
		{"mcp response with another Method", wiki, post("/mcp", `{"jsonrpc":"2.0","id":1,"result":{},"Method":"tools/call"}`), "body_ambiguous"},
		{"mcp call with two names", wiki, post("/mcp", `{"method":"tools/call","params":{"name":"wiki_list","Name":"tasks_delete"}}`), "body_ambiguous"},
		{"mcp call with no name", wiki, post("/mcp", `{"method":"tools/call","params":{}}`), "value_missing"},
		{"mcp call with other params", wiki, post("/mcp", `{"method":"tools/call","params":["wiki_list"]}`), "value_malformed"},
		{"mcp stream", wiki, get("/mcp"), ""},
		{"body unseen", wiki, catalogue.Request{Method: "POST", Path: "/mcp"}, "body_unseen"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := c.Decide(test.id, test.r)
			if cause(err) != test.want {
				t.Errorf("%v (%s), want %q", err, cause(err), test.want)
			}
			if e := bridge.AsError(err); err != nil && e.Kind != bridge.Forbidden && (e.Kind != bridge.Invalid || e.Code != "path_ambiguous") {
				t.Errorf("kind %s", bridge.AsError(err).Kind)
			}
		})
	}
}

func TestDecideNamesTheRule(t *testing.T) {
	err := shipped(t, "services").Decide(holding("acme", "agent:*", "svc:wiki:read"), invoke(`{"tool":"tasks_create"}`))
	e := bridge.AsError(err)
	if e.Scope != "svc:tasks:write" || strings.Contains(e.Detail, "rule") || !strings.Contains(e.Err.Error(), "rule 1 (POST /api/v1/mcp/tools/invoke)") {
		t.Errorf("%+v: %v", e, e.Err)
	}
}

func TestTemplates(t *testing.T) {
	c, err := catalogue.Parse([]byte(`
scopes: {"org:<slug>": o, "doc:<id>:read": d, "tenant:<id>": t}
presets: {}
roles: {viewer: {scopes: ["doc:*"]}, member: {scopes: ["doc:*"]}, admin: {scopes: ["*"]}, owner: {scopes: ["*"]}}
no_match: authenticated
rules:
- {path: "/docs", require: ["doc:{query.id}:read"]}
- {path: "/orgs/{slug}/{rest...}", require: ["org:{path.slug}"]}
- {path: "/move", methods: [POST], require: ["doc:{body.from.id}:read", "tenant:{body.tenant.prefix|none}"]}
- {path: "/open", require: []}
`))
	if err != nil {
		t.Fatal(err)
	}
	query := func(q string) catalogue.Request {
		r := get("/docs")
		r.RawQuery = q
		return r
	}
	id := holding("acme", "doc:7:read", "tenant:t1", "*:x")
	for _, test := range []struct {
		r    catalogue.Request
		want bridge.Code
	}{
		{query("id=7"), ""}, {query("id=8"), "scope_missing"}, {query(""), "value_missing"}, {query("id=7&id=8"), "value_ambiguous"},
		{query("id=7&ID=8"), "value_ambiguous"}, {query("id[]=8"), "value_ambiguous"}, {query("id=7;id=8"), "query_ambiguous"},
		{query("id=7:read"), "value_malformed"}, {query("id=%zz"), "query_ambiguous"},
		{query("id=7&_id=8"), "value_ambiguous"}, {query("id=7&I-D=8"), "value_ambiguous"}, {query("_id=7"), "value_ambiguous"},
		{query("id=7&x=%zz"), "query_ambiguous"}, {query("id=7&a=1;b=2"), "query_ambiguous"},
		{get("/orgs/acme/x/y"), ""}, {get("/orgs/rival/x"), "scope_missing"}, {get("/orgs/x/y"), "scope_missing"}, {get("/orgs/acme"), ""},
		{post("/move", `{"from":{"id":"7"},"tenant":"t1_x"}`), ""}, {post("/move", `{"from":{"id":"7"}}`), "scope_missing"},
		{post("/move", `{"from":"7"}`), "value_malformed"}, {post("/move", `{"from":{"id":7}}`), "value_malformed"},
		{get("/open"), ""}, {get("/anything"), ""}, {get("/a;b"), "path_ambiguous"},
	} {
		if err := c.Decide(id, test.r); cause(err) != test.want {
			t.Errorf("%s?%s: %v (%s), want %q", test.r.Path, test.r.RawQuery, err, cause(err), test.want)
		}
	}
	if err := c.Decide(holding("acme", "*"), get("/orgs/rival/x")); cause(err) != "scope_missing" {
		t.Errorf("* reaches another organization: %v", err)
	}
}

// careless reads a body as an app with encoding/json would, which ignores case and takes the last of two equal names.
func careless(body string) []string {
	type message struct {
		Tool, Method string
		Params       struct{ Name string }
	}
	var one message
	var batch []message
	if json.Unmarshal([]byte(body), &one) == nil {
		batch = []message{one}
	} else if json.Unmarshal([]byte(body), &batch) != nil {
		return nil
	}
	var tools []string
	for _, m := range batch {
		tools = append(tools, m.Tool)
		if m.Method == "tools/call" {
			tools = append(tools, m.Params.Name)
		}
	}
	return tools
}

// FuzzDecide checks that a key passes nothing but its own, whatever the request looks like: without any service only MCP's own
// messages, with the wiki only tools that a careless reader takes for the wiki's.
func FuzzDecide(f *testing.F) {
	f.Add("POST", "/mcp", `{"method":"tools/call","params":{"name":"wiki_list"}}`, "X-Agent", "cto")
	f.Add("POST", "/mcp", `[{"method":"tools/call","params":{"name":"wiki_list"}},{"result":{}}]`, "", "")
	f.Add("POST", "/api/v1/mcp/tools/invoke", `{"tool":"wiki_list","arguments":{}}`, "Content-Type", "application/json")
	f.Add("GET", "/api/v1/agents/a/tasks", "", "X_Agent", "")
	c := shipped(f, "services")
	f.Fuzz(func(t *testing.T, method, path, body, header, value string) {
		r := post(path, body, header, value)
		r.Method = method
		decoded, _ := url.PathUnescape(path)
		decoded = strings.TrimSuffix(decoded, "/")
		if err := c.Decide(holding("acme", "agent:*"), r); err == nil && decoded != "/mcp" {
			t.Errorf("%s %q %q passes with no service", method, path, body)
		}
		if decoded != "/mcp" && decoded != "/api/v1/mcp/tools/invoke" || method != "POST" {
			return
		}
		if err := c.Decide(holding("acme", "agent:*", "svc:wiki:read"), r); err == nil {
			for _, tool := range careless(body) {
				if tool != "" && !strings.HasPrefix(tool, "wiki_") {
					t.Errorf("%q passes a reader of the wiki as %q", body, tool)
				}
			}
		}
	})
}
