package cloud_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// add registers a connection with a plain key, of a server that nobody runs.
func (f *fixture) add(name, server string) api.Connection {
	f.t.Helper()
	key := bridge.NewSecret(plainKey).Disclose()
	connection, err := f.client().Register(f.t.Context(), api.RegisterRequest{Name: name, ServerURL: server, APIKey: &key})
	if err != nil {
		f.t.Fatal(err)
	}
	return connection
}

// page gets a page, which is there.
func (f *fixture) page(path, cookie string) string {
	f.t.Helper()
	resp, page := f.do("GET", path, "", "Cookie", cookie)
	if resp.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %d %s", path, resp.StatusCode, page)
	}
	return page
}

func TestSearchPage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cookie := f.signIn()
	if page := f.page("/connections", cookie); !strings.Contains(page, "No connection yet") || strings.Contains(page, `name="q"`) {
		t.Errorf("there is something to search where there is nothing:\n%s", page)
	}
	f.add("billing <b>&", "https://billing.example")
	f.add("search", "https://search.example")
	cards := func(page string) int { return strings.Count(page, "data-connection=") }
	for query, want := range map[string]int{"": 2, "q=BILLING": 1, "q=search.ex": 1, "q=ann@": 2, "q=%25": 0, "status=unknown": 2, "status=online": 0} {
		page := f.page("/connections?"+query, cookie)
		if cards(page) != want {
			t.Errorf("%q finds %d, want %d", query, cards(page), want)
		}
		if want == 0 && !strings.Contains(page, "Nothing matches") {
			t.Errorf("%q finds nothing, and does not say so", query)
		}
	}
	if page := f.page("/connections", cookie); strings.Count(page, "data-try") != 1 || strings.Contains(page, "billing <b>") ||
		strings.Contains(page, "this network only") { // nobody has looked yet
		t.Errorf("the page:\n%s", page)
	}
	for _, query := range []string{"status=well", "q=" + strings.Repeat("x", 101), "q=a%0Ab"} {
		if resp, page := f.do("GET", "/connections?"+query, "", "Cookie", cookie); resp.StatusCode != http.StatusBadRequest || !strings.Contains(page, "Show all") {
			t.Errorf("%q: %d", query, resp.StatusCode)
		}
	}
}

// A page of the list links to the next, with the same search.
func TestSearchPages(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cookie := f.signIn()
	for i := range 33 {
		f.add(fmt.Sprintf("one-%d", i), fmt.Sprintf("https://one-%d.example", i))
	}
	f.add("other", "https://other.example")
	page := f.page("/connections?q=one", cookie)
	next := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(page)
	if next == nil || strings.Count(page, "data-connection=") != 30 {
		t.Fatalf("the first page:\n%s", page)
	}
	if page := f.page(strings.ReplaceAll(next[1], "&amp;", "&"), cookie); strings.Count(page, "data-connection=") != 3 || strings.Contains(page, `rel="next"`) {
		t.Errorf("the second page:\n%s", page)
	}
}

func TestOverviewForms(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	_, connection := f.behind(func(http.ResponseWriter, *http.Request) {})
	f.share(connection.ID, "organization")
	f.member("bob@acme.test", bridge.RoleMember)
	f.member("eve@acme.test", bridge.RoleViewer)
	path := "/connections/" + connection.ID
	admin := f.signIn()

	if page := f.page(path+"/delete", admin); !strings.Contains(page, "3 people lose access") {
		t.Errorf("disconnecting does not say what it breaks:\n%s", page)
	}
	for _, email := range []string{"bob@acme.test", "eve@acme.test"} {
		cookie := f.signInAs(email)
		page := f.page(path, cookie)
		if strings.Contains(page, path+"/delete") || strings.Contains(page, path+"/rename") {
			t.Errorf("%s is offered what they may not do", email)
		}
		for action, sent := range map[string]url.Values{"rename": {"name": {"x"}}, "move": {"server_url": {"https://x.example"}, "sure": {"yes"}},
			"key": {"api_key": {"x"}}, "delete": {"sure": {"yes"}}} {
			if resp, page := f.post(path+"/"+action, cookie, sent); resp.StatusCode != http.StatusForbidden || !strings.Contains(page, `class="error"`) {
				t.Errorf("%s by %s: %d", action, email, resp.StatusCode)
			}
		}
	}
	for _, c := range []struct {
		action string
		sent   url.Values
		status int
		says   string
	}{
		{"move", url.Values{"server_url": {"https://moved.example"}}, http.StatusBadRequest, "to say that you are sure"},
		{"delete", nil, http.StatusBadRequest, "to say that you are sure"},
		{"rename", url.Values{"name": {"two\nlines"}}, http.StatusBadRequest, "plain text"},
		{"move", url.Values{"server_url": {"no URL"}, "sure": {"yes"}}, http.StatusBadRequest, `value="no URL"`},
		{"key", nil, http.StatusBadRequest, "ive either"},
		{"shout", nil, http.StatusNotFound, ""},
	} {
		if resp, page := f.post(path+"/"+c.action, admin, c.sent); resp.StatusCode != c.status || !strings.Contains(page, c.says) {
			t.Errorf("%s %v: %d", c.action, c.sent, resp.StatusCode)
		}
	}
	resp, _ := f.do("POST", path+"/delete", "sure=yes", "Content-Type", formType, "Cookie", admin, "Sec-Fetch-Site", "cross-site")
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("another site's form: %d", resp.StatusCode)
	}
	for _, c := range []struct {
		action string
		sent   url.Values
		to     string
	}{
		{"rename", url.Values{"name": {"warehouse"}}, path + "?done=renamed"},
		{"check", nil, path + "?done=checked"},
		{"key", url.Values{"api_key": {"another"}}, path + "?done=key-replaced"},
		{"move", url.Values{"server_url": {"https://moved.example"}, "sure": {"yes"}}, path + "?done=moved"},
	} {
		if resp, page := f.post(path+"/"+c.action, admin, c.sent); resp.Header.Get("Location") != c.to {
			t.Errorf("%s: %d to %s\n%s", c.action, resp.StatusCode, resp.Header.Get("Location"), page)
		}
	}
	if page := f.page(path, admin); !strings.Contains(page, "<h1>warehouse</h1>") || !strings.Contains(page, `<code id="fix">ace connect --server https://moved.example</code>`) {
		t.Errorf("the overview after all that:\n%s", page)
	}
	if resp, _ := f.post(path+"/delete", admin, url.Values{"sure": {"yes"}}); resp.Header.Get("Location") != "/connections?done=forgotten" {
		t.Errorf("delete: %d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	if resp, _ := f.do("GET", path, "", "Cookie", admin); resp.StatusCode != http.StatusNotFound {
		t.Errorf("after it is gone: %d", resp.StatusCode)
	}
}
