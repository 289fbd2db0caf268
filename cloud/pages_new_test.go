package cloud_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// The page notices the caller's next connection, not an earlier one or somebody else's.
func TestAddAConnectionWaitsForIt(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	f.member("bob@acme.test", bridge.RoleMember)
	f.member("vera@acme.test", bridge.RoleViewer)
	cookie, bob := f.signIn(), f.signInAs("bob@acme.test")
	add := func(cookie, name string) {
		t.Helper()
		resp, page := f.post("/connections", cookie, url.Values{"server_url": {"https://" + name + ".acme.test"}, "name": {name}, "api_key": {"some-plain-key"}})
		if resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("%d %s", resp.StatusCode, page)
		}
	}
	add(cookie, "before")
	f.advance(time.Minute)
	_, page := f.do("GET", "/connections/new", "", "Cookie", cookie)
	if !strings.Contains(page, "ace login --env "+f.url) || strings.Contains(page, "data-found") {
		t.Errorf("the page: %s", page)
	}
	again := link(page, "Check now")
	add(bob, "bobs")
	if _, page := f.do("GET", again, "", "Cookie", cookie); !strings.Contains(page, "Nothing yet") || link(page, "Check again") != again {
		t.Errorf("before it is connected: %s", page)
	}
	add(cookie, "after")
	if _, page := f.do("GET", again, "", "Cookie", cookie); !strings.Contains(page, "after is connected") || !strings.HasPrefix(link(page, "Open after"), "/connections/") {
		t.Errorf("once it is connected: %s", page)
	}
	for _, since := range []string{"yesterday", "-1", "99999999999999999999"} {
		if resp, _ := f.do("GET", "/connections/new?since="+since, "", "Cookie", cookie); resp.StatusCode != http.StatusOK {
			t.Errorf("since %s: %d", since, resp.StatusCode)
		}
	}
	if _, page := f.do("GET", "/connections/new", "", "Cookie", f.signInAs("vera@acme.test")); !strings.Contains(page, "Not for viewers") || strings.Contains(page, "api_key") {
		t.Errorf("a viewer: %s", page)
	}
	if resp, page := f.post("/connections", cookie, url.Values{"server_url": {"ftp://x"}, "api_key": {"secret-of-mine"}}); resp.StatusCode != http.StatusBadRequest ||
		!strings.Contains(page, "must begin with http") || !strings.Contains(page, `value="ftp://x"`) || strings.Contains(page, "secret-of-mine") {
		t.Errorf("a URL that is none: %d %s", resp.StatusCode, page)
	}
}

// An admin makes a join token on the page, which is shown once; others are told whom to ask.
func TestAddAServerWithAJoinToken(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	f.member("bob@acme.test", bridge.RoleMember)
	cookie, bob := f.signIn(), f.signInAs("bob@acme.test")
	if _, page := f.do("GET", "/connections/new", "", "Cookie", bob); !strings.Contains(page, "Only an admin of") || strings.Contains(page, "/connections/join") {
		t.Errorf("a member: %s", page)
	}
	if resp, page := f.post("/connections/join", bob, url.Values{}); resp.StatusCode != http.StatusForbidden || strings.Contains(page, "ace_jt1.") {
		t.Errorf("a member makes one: %d %s", resp.StatusCode, page)
	}
	for _, uses := range []string{"0", "-1", "many", "99999"} {
		if resp, page := f.post("/connections/join", cookie, url.Values{"uses": {uses}}); resp.StatusCode != http.StatusBadRequest || !strings.Contains(page, `role="alert"`) {
			t.Errorf("for %s servers: %d %s", uses, resp.StatusCode, page)
		}
	}
	resp, page := f.post("/connections/join", cookie, url.Values{"uses": {"2"}, "share": {"yes"}})
	_, rest, found := strings.Cut(page, "ace_jt1.")
	if resp.StatusCode != http.StatusOK || !found || !strings.Contains(page, "ace server join -") || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s %s", resp.StatusCode, resp.Header.Get("Cache-Control"), page)
	}
	text, _, _ := strings.Cut("ace_jt1."+rest, "<")
	token, err := bridge.ParseJoinToken(bridge.NewSecret(text))
	if err != nil || token.Org() != "acme" || string(token.Cloud()) != f.url {
		t.Errorf("the token: %v", err)
	}
	_, page = f.do("GET", "/connections/new", "", "Cookie", cookie)
	_, revoke, found := strings.Cut(page, `action="/connections/join/`)
	if revoke, _, _ = strings.Cut(revoke, `"`); !found || strings.Contains(page, "ace_jt1.") || !strings.Contains(page, "0 of 2 used") {
		t.Fatalf("afterwards: %s", page)
	}
	if resp, _ := f.post("/connections/join/"+revoke, bob, url.Values{}); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a member revokes it: %d", resp.StatusCode)
	}
	if resp, _ := f.post("/connections/join/"+revoke, cookie, url.Values{}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("revoke: %d", resp.StatusCode)
	}
	if _, page := f.do("GET", "/connections/new", "", "Cookie", cookie); strings.Contains(page, "of 2 used") {
		t.Errorf("once it is revoked: %s", page)
	}
}
