package link_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/server/link"
)

func TestParseAllow(t *testing.T) {
	for text, fine := range map[string]bool{
		"": true, " ": true, "GET /": true, "* /": true, "GET /a, POST /b/c ,* /d/": true, "PROPFIND /dav": true, "M-SEARCH /x": true,
		"GET": false, "/a": false, "get /a": false, "GET a": false, "GET /a,": false, ",GET /a": false, "GET /a/../b": false, "GET //a": false,
		"GET /a%2fb": false, "GET /a;b": false, `GET /a\b`: false, "GET /a b": false, "GET /a*": false, "** /": false, "GET /%": false,
		"GET /" + strings.Repeat("a", 2000): false, strings.Repeat("GET /a,", 100) + "GET /a": false, "GET /a?x": false, "GET /a#x": false,
	} {
		a, err := link.ParseAllow(text)
		if (err == nil) != fine {
			t.Errorf("%.40q: %v", text, err)
		}
		if fine && a.Narrows() != (strings.TrimSpace(text) != "") {
			t.Errorf("%q narrows: %v", text, a.Narrows())
		}
	}
}

func TestAllow(t *testing.T) {
	a, err := link.ParseAllow("GET /open, * /api/v2, POST /a%20b")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path string
		want         bridge.Code
	}{
		{"GET", "/open", ""},
		{"GET", "/open/", ""},
		{"GET", "/open/a/b?q=/../x", ""},
		{"HEAD", "/open", ""},
		{"GET", "/%6fpen", ""},
		{"POST", "/a%20b", ""},
		{"POST", "/open", bridge.CodeLinkForbidden},
		{"get", "/open", bridge.CodeLinkForbidden},
		{"GET", "/opened", bridge.CodeLinkForbidden},
		{"GET", "/Open", bridge.CodeLinkForbidden},
		{"GET", "/", bridge.CodeLinkForbidden},
		{"DELETE", "/api/v2/x", ""},
		{"DELETE", "/api/v22", bridge.CodeLinkForbidden},
		{"GET", "/open/%252e%252e/secret", bridge.CodePathAmbiguous},
		{"GET", "/open/..%2fsecret", bridge.CodePathAmbiguous},
		{"GET", "/open%3f/x", bridge.CodePathAmbiguous},
		{"GET", "/open%23x", bridge.CodePathAmbiguous},
		{"GET", "/ace/v1/me", ""},
		{"POST", "/ace/v1/me", bridge.CodeLinkForbidden},
		{"POST", "/ace/v1/api-keys/x/rotate", ""},
		{"POST", "/ace/v1/api-keys/x/rotate/y", bridge.CodeLinkForbidden},
		{"POST", "/ace/v1/api-keys", bridge.CodeLinkForbidden},
		{"DELETE", "/ace/v1/api-keys/", bridge.CodeLinkForbidden},
	} {
		r := httptest.NewRequest(c.method, "http://server.test/", nil)
		if r.URL, err = url.ParseRequestURI(c.path); err != nil {
			t.Fatal(err)
		}
		if got := bridge.CodeOf(a.Check(httptest.NewRecorder(), r)); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.path, got, c.want)
		}
	}
	if err := (link.Allow{}).Check(httptest.NewRecorder(), httptest.NewRequest("GET", "http://server.test/a//b", nil)); err != nil {
		t.Errorf("without rules: %v", err)
	}
}

// An app cannot be told another method or path than the one that was decided about.
func TestAllowOverrides(t *testing.T) {
	a, err := link.ParseAllow("POST /orders, GET /list")
	if err != nil {
		t.Fatal(err)
	}
	const form, parts = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"
	for _, c := range []struct {
		method, target, header, kind, body string
		want                               bridge.Code
	}{
		{"POST", "/orders", "", form, "a=b", ""},
		{"POST", "/orders", "", "application/json", `{"a":1}`, ""},
		{"POST", "/orders", "X-Http-Method-Override", "", "", bridge.CodeAccessDenied},
		{"POST", "/orders", "x_http_method", "", "", bridge.CodeAccessDenied},
		{"GET", "/list", "X-Original-Url", "", "", bridge.CodeAccessDenied},
		{"GET", "/list?_method=delete", "", "", "", bridge.CodeAccessDenied},
		{"GET", "/list?a=b;%5fmethod=delete", "", "", "", bridge.CodeAccessDenied},
		{"POST", "/orders", "", form, "a=b&_method=DELETE", bridge.CodeAccessDenied},
		{"POST", "/orders", "", parts, "--b\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nDELETE\r\n--b--\r\n", bridge.CodeAccessDenied},
		{"POST", "/orders", "", parts, "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n", ""},
		{"GET", "/ace/v1/me?_method=delete", "", "", "", ""}, // the server's own, which heeds none
	} {
		r := httptest.NewRequest(c.method, c.target, strings.NewReader(c.body))
		if c.header != "" {
			r.Header[c.header] = []string{"DELETE"}
		}
		if c.kind != "" {
			r.Header.Set("Content-Type", c.kind)
		}
		if got := bridge.CodeOf(a.Check(httptest.NewRecorder(), r)); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
		if err := (link.Allow{}).Check(httptest.NewRecorder(), r); err != nil {
			t.Errorf("without rules: %v", err)
		}
		if body, err := io.ReadAll(r.Body); c.want == "" && (err != nil || string(body) != c.body) {
			t.Errorf("%+v: the body is now %q (%v)", c, body, err)
		}
	}
}

// What one rule takes lies below its path, as any reader reads it.
func FuzzAllow(f *testing.F) {
	f.Add("GET /a", "GET", "/a/b")
	f.Add("* /a%20b", "POST", "/a%20b/%2e%2e/c")
	f.Fuzz(func(t *testing.T, text, method, path string) {
		a, err := link.ParseAllow(text)
		if err != nil || !a.Narrows() || strings.Contains(text, ",") {
			return
		}
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		r := &http.Request{Method: method, URL: u, Header: http.Header{}}
		if a.Check(httptest.NewRecorder(), r) != nil || strings.HasPrefix(u.Path, "/ace/") || strings.HasPrefix(u.Path, "/.well-known/") {
			return
		}
		_, rule, _ := strings.Cut(strings.TrimSpace(text), " ")
		below, _ := url.PathUnescape(strings.TrimSpace(rule))
		if below = strings.TrimSuffix(below, "/"); u.Path != below && !strings.HasPrefix(u.Path, below+"/") {
			t.Errorf("%q takes %q", text, path)
		}
		if strings.Contains(u.Path, "..") && strings.Contains(u.Path, "/../") || strings.ContainsAny(u.Path, "\\;\x00") {
			t.Errorf("%q takes %q", text, path)
		}
	})
}
