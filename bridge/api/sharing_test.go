package api

import (
	"encoding/json"
	"testing"
)

func TestCeilingPatch(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: `{}`, `{"ceiling":null}`: `{"ceiling":null}`, `{"ceiling":{"preset":"app"}}`: `{"ceiling":{"preset":"app"}}`,
		`{"ceiling":{"scopes":["a"]}}`:                      `{"ceiling":{"scopes":["a"]}}`,
		`{"ceiling":{"preset":"app"},"ceiling":null}`:       `{"ceiling":null}`,
		`{"ceiling":{"preset":"app","other":1}}`:            "",
		`{"ceiling":"app"}`:                                 "",
		`{"ceiling":{"preset":"app","scopes":"a b"}}`:       "",
		`{"ceiling":{"preset":"x"},"ceiling":{"scopes":0}}`: "",
	} {
		var p ConnectionPatch
		if err := json.Unmarshal([]byte(text), &p); (err != nil) != (want == "") {
			t.Errorf("%s: %v", text, err)
		} else if got, err := json.Marshal(p); want != "" && (err != nil || string(got) != want) {
			t.Errorf("%s is %s (%v), want %s", text, got, err, want)
		}
	}
}

func FuzzCeilingPatch(f *testing.F) {
	for _, s := range []string{`null`, `{"preset":"app"}`, `{"scopes":["a:b"]}`, `{"scopes":null}`, `[]`, `{"preset":"a"}{}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c, again CeilingPatch
		if c.UnmarshalJSON([]byte(text)) != nil {
			return
		}
		raw, err := c.MarshalJSON()
		if err != nil || again.UnmarshalJSON(raw) != nil || again.Given != c.Given || (again.To == nil) != (c.To == nil) {
			t.Errorf("%q becomes %s (%v)", text, raw, err)
		}
	})
}
