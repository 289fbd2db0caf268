package server_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/server"
)

// TestLongFormsAtTheGateway checks that a form too long to be read as a whole reaches the app unchanged, unless a part
// overrides the method: then it is cut off.
func TestLongFormsAtTheGateway(t *testing.T) {
	rules, err := catalogue.Parse([]byte(`
scopes: {"app": "use"}
presets: {}
roles: {viewer: {scopes: [app]}, member: {scopes: [app]}, admin: {scopes: ["*"]}, owner: {scopes: ["*"]}}
no_match: deny
rules:
- {path: /files, methods: [POST], require: [app]}
`))
	if err != nil {
		t.Fatal(err)
	}
	var seen sync.Map // case to what the app received
	f := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		seen.Store(r.URL.RawQuery, string(body))
		if err != nil {
			panic(http.ErrAbortHandler) // as apps do with a form that breaks off
		}
	}), func(c *server.Config) { c.Catalogue = rules })
	key, _ := f.mint(`{"name":"uploads","scopes":["app"]}`)
	part := func(disposition, body string) string {
		return "--b0\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + body + "\r\n"
	}
	file := part(`name="f"; filename="a.bin"`, strings.Repeat("0123456789abcde\n", 1<<17))
	for name, c := range map[string]struct {
		form   string
		length int64
		status int
	}{
		"an upload":                         {file + "--b0--\r\n", 0, 200},
		"an upload in chunks":               {file + "--b0--\r\n", -1, 200},
		"_method after the file":            {file + part(`name="_method"`, "DELETE") + "--b0--\r\n", 0, 403},
		"_method after the file, in chunks": {file + part(`name="_method"`, "DELETE") + "--b0--\r\n", -1, 403},
		"_method in chunks":                 {part(`name="_method"`, "DELETE") + "--b0--\r\n", -1, 403},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/files?"+url.QueryEscape(name), strings.NewReader(c.form))
		if err != nil {
			t.Fatal(err)
		}
		if c.length < 0 {
			req.ContentLength = -1
		}
		req.Header.Set("Content-Type", "multipart/form-data; boundary=b0")
		req.Header.Set("X-Api-Key", key)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || c.status == 403 && f.code(string(body)) != "access_denied" {
			t.Errorf("%s: %d %s %v", name, resp.StatusCode, body, err)
		}
		got, _ := seen.Load(url.QueryEscape(name))
		text, _ := got.(string)
		if c.status == 200 && text != c.form || strings.Contains(text, "_method") {
			t.Errorf("%s: the app got %d bytes of %d, at the end %q", name, len(text), len(c.form), text[max(0, len(text)-60):])
		}
	}
}
