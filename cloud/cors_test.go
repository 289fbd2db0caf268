package cloud_test

import (
	"net/http"
	"testing"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
)

// Pages of allowed origins call the API with a token, never with a cookie; other pages cannot call it.
func TestOriginsThatAreNamed(t *testing.T) {
	const named, other = "https://app.vendor.example", "https://app.vendor.example.evil.example"
	f := startWith(t, sqldbtest.SQLite(t), func(cfg *cloud.Config) { cfg.AllowedOrigins = []string{named, string(cfg.PublicURL)} })
	_, connection := f.behind(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	})
	cookie, bearer := f.signIn(), f.bearer()
	use, relayed := "/v1/connections/"+connection.ID+"/credential", "/v1/connections/"+connection.ID+"/relay/x"
	for _, c := range []struct {
		name, method, path, origin, header, value string
		status                                    int
		allowed                                   string
	}{
		{"a token", "GET", "/v1/me", named, "Authorization", bearer, 200, named},
		{"a token, to change something", "POST", use, named, "Authorization", bearer, 200, named},
		{"a token, through the relay", "PUT", relayed, named, "Authorization", bearer, 200, named},
		{"a cookie", "GET", "/v1/me", named, "Cookie", cookie, 401, named},
		{"a cookie, to change something", "POST", use, named, "Cookie", cookie, 401, named},
		{"a cookie, through the relay", "PUT", relayed, named, "Cookie", cookie, 401, named},
		{"nothing", "POST", use, named, "X-Nothing", "1", 401, named},
		{"the script", "GET", "/static/ace.js", named, "X-Nothing", "1", 200, named},
		{"another script", "GET", "/static/dashboard.js", named, "X-Nothing", "1", 200, ""},
		{"a page of the dashboard", "GET", "/settings", named, "X-Nothing", "1", 303, ""},
		{"a form of the dashboard", "POST", "/logout", named, "Cookie", cookie, 403, ""},
		{"another origin", "GET", "/v1/me", other, "Authorization", bearer, 200, ""},
		{"another origin, to change something", "POST", use, other, "Authorization", bearer, 403, ""},
		{"another origin, the script", "GET", "/static/ace.js", other, "X-Nothing", "1", 200, ""},
		{"no origin", "GET", "/v1/me", "null", "Authorization", bearer, 200, ""},
		{"the dashboard itself", "POST", use, f.url, "Cookie", cookie, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := f.do(c.method, c.path, "", "Origin", c.origin, "Sec-Fetch-Site", site(c.origin, f.url), c.header, c.value)
			h := resp.Header
			if resp.StatusCode != c.status {
				t.Errorf("%d, want %d: %.300s", resp.StatusCode, c.status, body)
			}
			if got := h.Get("Access-Control-Allow-Origin"); got != c.allowed {
				t.Errorf("%q may read it, want %q", got, c.allowed)
			}
			if len(h["Access-Control-Allow-Credentials"]) > 0 || len(h["Set-Cookie"]) > 0 {
				t.Errorf("cookies came in: %v", h)
			}
		})
	}
}

func site(origin, self string) string {
	if origin == self {
		return "same-origin"
	}
	return "cross-site"
}

func TestPreflightsOfOriginsThatAreNamed(t *testing.T) {
	const named = "https://app.vendor.example"
	f := startWith(t, sqldbtest.SQLite(t), func(cfg *cloud.Config) { cfg.AllowedOrigins = []string{named} })
	for _, c := range []struct{ origin, methods, headers string }{
		{named, "DELETE", "authorization,x-mine"},
		{"http://app.vendor.example", "", ""},
		{f.url, "", ""},
	} {
		resp, body := f.do("OPTIONS", "/v1/connections/x/relay/y", "", "Origin", c.origin, "Access-Control-Request-Method", "DELETE",
			"Access-Control-Request-Headers", "authorization,x-mine")
		h := resp.Header
		if h.Get("Access-Control-Allow-Methods") != c.methods || h.Get("Access-Control-Allow-Headers") != c.headers || h.Get("Vary") == "" {
			t.Errorf("%s: %d %v %s", c.origin, resp.StatusCode, h, body)
		}
	}
}
