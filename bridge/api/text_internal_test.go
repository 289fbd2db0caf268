package api

import (
	"encoding/json"
	"strings"
	"testing"
)

// The pattern matches exactly what a decoder turns into NUL.
func FuzzJSONNUL(f *testing.F) {
	for _, s := range []string{`a`, `\u0000`, `\\u0000`, `\\\u0000`, `\u00000`, `\"\u0000`, `\\\\u0000\u0000`, `\u0001`, `\U0000`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, inside string) {
		body := []byte(`{"name":"` + inside + `"}`)
		var decoded struct{ Name string }
		if json.Unmarshal(body, &decoded) != nil || !json.Valid([]byte(`"`+inside+`"`)) {
			return
		}
		if found := jsonNUL.Match(body); found != strings.Contains(decoded.Name, "\x00") {
			t.Errorf("%q has a NUL: %v, in %s", decoded.Name, found, body)
		}
	})
}
