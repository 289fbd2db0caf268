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
