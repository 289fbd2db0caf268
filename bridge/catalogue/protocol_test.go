package catalogue_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
)

// TestPapersMCPRule checks that an MCP client works with the rule in docs/apps.md: the protocol's own messages pass, tools by
// scope.
func TestPapersMCPRule(t *testing.T) {
	paper, err := os.ReadFile("../../docs/apps.md")
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalogue.Parse(regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(paper)[1])
	if err != nil {
		t.Fatal(err)
	}
	message := func(method string) string { return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{}}` }
	for _, test := range []struct {
		name, method, body string
		scopes             []bridge.Scope
		want               bridge.Code
	}{
		{"initialize", "POST", message("initialize"), []bridge.Scope{"*"}, ""},
		{"initialize with little", "POST", message("initialize"), []bridge.Scope{"doc:read"}, ""},
		{"initialized", "POST", message("notifications/initialized"), nil, ""},
		{"roots", "POST", message("notifications/roots/list_changed"), nil, ""},
		{"ping", "POST", message("ping"), nil, ""},
		{"an answer", "POST", `{"jsonrpc":"2.0","id":1,"result":{}}`, nil, ""},
		{"the list of tools", "POST", message("tools/list"), nil, ""},
		{"the stream", "GET", "", []bridge.Scope{"*"}, ""},
		{"the end", "DELETE", "", nil, ""},
		{"a stream with a call", "GET", `{"method":"tools/call","params":{"name":"delete_x"}}`, []bridge.Scope{"doc:read"}, "scope_missing"},
		{"an end with a call", "DELETE", `{"method":"tools/call","params":{"name":"delete_x"}}`, []bridge.Scope{"doc:read"}, "scope_missing"},
		{"another method", "PUT", "", []bridge.Scope{"*"}, "body_malformed"},
		{"a resource", "POST", message("resources/read"), []bridge.Scope{"*"}, "operation_unknown"},
		{"a tool", "POST", `{"method":"tools/call","params":{"name":"get_x"}}`, []bridge.Scope{"doc:read"}, ""},
		{"a tool too much", "POST", `{"method":"tools/call","params":{"name":"delete_x"}}`, []bridge.Scope{"doc:read"}, "scope_missing"},
		{"a batch with one too much", "POST", "[" + message("ping") + `,{"method":"tools/call","params":{"name":"delete_x"}}]`, []bridge.Scope{"doc:read"}, "scope_missing"},
		{"a lone surrogate", "POST", `{"method":"tools/call","params":{"name":"get_x","arguments":{"q":"\ud800"}}}`, []bridge.Scope{"*"}, "body_text"},
		{"bytes", "POST", "{\"method\":\"ping\",\"x\":\"\xff\"}", []bridge.Scope{"*"}, "body_text"},
	} {
		r := catalogue.Request{Method: test.method, Path: "/mcp", Body: func() ([]byte, error) { return []byte(test.body), nil }}
		if err := c.Decide(bridge.Identity{Org: "acme", Scopes: test.scopes}, r); cause(err) != test.want {
			t.Errorf("%s: %v (%s), want %q", test.name, err, cause(err), test.want)
		}
	}
	if err := c.Decide(bridge.Identity{Scopes: bridge.Scopes{"*"}}, catalogue.Request{Method: "GET", Path: "/mcp"}); cause(err) != "body_unseen" {
		t.Errorf("forward-auth sees no body: %v", err)
	}
}
