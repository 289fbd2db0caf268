package link_test

import (
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
		if got := bridge.CodeOf(a.Check(r)); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.path, got, c.want)
		}
	}
	if err := (link.Allow{}).Check(httptest.NewRequest("GET", "http://server.test/a//b", nil)); err != nil {
		t.Errorf("without rules: %v", err)
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
		if a.Check(r) != nil || strings.HasPrefix(u.Path, "/ace/") || strings.HasPrefix(u.Path, "/.well-known/") {
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
