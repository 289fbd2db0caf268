package mcp_test

import (
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue/mcp"
)

// TestRead checks which messages a body contains, and which bodies two readers could understand differently.
func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want []string // names; a star marks a call
		code bridge.Code
	}{
		"a call":               {`{"method":"tools/call","params":{"name":"send"}}`, []string{"send*"}, ""},
		"a method":             {`{"method":"resources/read"}`, []string{"resources/read"}, ""},
		"a response":           {`{"result":{}}`, []string{mcp.Response}, ""},
		"an error":             {`{"error":{"code":1}}`, []string{mcp.Response}, ""},
		"a batch":              {`[{"method":"ping"},{"method":"tools/call","params":{"name":"a"}}]`, []string{"ping", "a*"}, ""},
		"both at once":         {`{"method":"ping","result":{}}`, nil, "value_ambiguous"},
		"neither":              {`{"id":1}`, nil, "value_missing"},
		"a call of no tool":    {`{"method":"tools/call","params":{}}`, nil, "value_missing"},
		"a name twice":         {`{"method":"ping","method":"tools/call"}`, nil, "body_malformed"},
		"a name in two cases":  {`{"method":"ping","Method":"tools/call"}`, nil, "body_ambiguous"},
		"an empty batch":       {`[]`, nil, "body_malformed"},
		"no object":            {`"ping"`, nil, "body_malformed"},
		"something after":      {`{"method":"ping"}{}`, nil, "body_malformed"},
		"half of a surrogate":  {`{"method":"\ud800"}`, nil, "body_text"},
		"a batch of no object": {`[1]`, nil, "body_malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			messages, err := mcp.Read([]byte(c.body))
			code := bridge.CodeOf(err)
			if e := bridge.AsError(err); err != nil && e.Err != nil {
				code = bridge.CodeOf(e.Err)
			}
			if code != c.code || len(messages) != len(c.want) {
				t.Fatalf("%v, %v", messages, err)
			}
			for i, m := range messages {
				if m.Call {
					m.Name += "*"
				}
				if m.Name != c.want[i] {
					t.Errorf("message %d is %s, want %s", i, m.Name, c.want[i])
				}
			}
		})
	}
}
