package cloud_test

import (
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// Every response has a content security policy; a page's policy lets it load its own files only.
func TestEveryAnswerHasAPolicy(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cookie := f.signIn()
	const page, none = "default-src 'self'; base-uri 'none'; form-action 'self'", "default-src 'none'"
	for _, tt := range []struct {
		method, path, want string
		headers            []string
	}{
		{"GET", "/login", page, nil},
		{"GET", "/forgot", page, nil},
		{"GET", "/connections", page, []string{"Cookie", cookie}},
		{"GET", "/members", page, []string{"Cookie", cookie}},
		{"GET", "/nothing-here", page, []string{"Accept", "text/html"}},
		{"GET", "/login?next=%00", page, []string{"Accept", "text/html"}},
		{"GET", "/login", none, []string{"Host", "evil.example"}},
		{"POST", "/login", none, []string{"Sec-Fetch-Site", "cross-site"}},
		{"GET", "/connections", none, nil},
		{"GET", "/nothing-here", none, nil},
		{"GET", "/static/ace.css", none, nil},
		{"GET", "/static/ace.svg", none, nil},
		{"GET", "/static/nothing.js", none, nil},
		{"GET", "/v1/me", none, nil},
		{"GET", "/v1/connections", none, []string{"Authorization", "Bearer " + f.token.Reveal()}},
		{"POST", "/oauth/token", none, nil},
		{"GET", "/.well-known/jwks.json", none, nil},
		{"GET", "/healthz", none, nil},
	} {
		resp, _ := f.do(tt.method, tt.path, "", tt.headers...)
		h := resp.Header
		if policies := h.Values("Content-Security-Policy"); len(policies) != 1 || !strings.HasPrefix(policies[0], tt.want) ||
			!strings.Contains(policies[0], "frame-ancestors 'none'") {
			t.Errorf("%s %s (%d): the policy is %q", tt.method, tt.path, resp.StatusCode, policies)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s %s (%d): %v", tt.method, tt.path, resp.StatusCode, h)
		}
	}
}
