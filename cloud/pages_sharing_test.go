package cloud_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
)

// The forms of the Sharing page work for admins, and for nobody else.
func TestSharingPage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	connection, _ := f.aceServer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	f.share(connection.ID, connections.Private)
	me, err := f.member("max@acme.test", bridge.RoleMember).Me(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	admin, member := f.signIn(), f.signInAs("max@acme.test")
	path := "/connections/" + connection.ID + "/sharing"
	post := func(cookie, where string, form url.Values) (int, string) {
		t.Helper()
		resp, body := f.do("POST", path+where, form.Encode(), "Content-Type", formType, "Cookie", cookie, "Accept", "text/html")
		return resp.StatusCode, resp.Header.Get("Location") + body
	}
	now := func() api.Sharing {
		t.Helper()
		s, err := f.client().Sharing(t.Context(), connection.ID)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if resp, _ := f.do("GET", path, "", "Cookie", member); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a member to whom it is not shared got %d", resp.StatusCode)
	}
	for _, c := range []struct {
		what, cookie, where string
		form                url.Values
		status              int
		says                string
	}{
		{"a member of what is private", member, "/on", nil, 404, ""},
		{"sharing", admin, "/on", nil, 303, "done=shared"},
		{"a member unshares", member, "/off", url.Values{"sure": {"yes"}}, 403, "nly an admin"},
		{"a member sets a ceiling", member, "/ceiling", url.Values{"to": {"scopes"}, "scopes": {"app:read"}}, 403, "nly an admin"},
		{"a member reads presets", member, "/presets", nil, 403, "nly an admin"},
		{"a member limits", member, "/members/" + me.ID, url.Values{"to": {"full"}}, 403, "nly an admin"},
		{"unsharing without a yes", admin, "/off", nil, 400, "sure"},
		{"a ceiling", admin, "/ceiling", url.Values{"to": {"scopes"}, "scopes": {"app:read\r\n  app:write"}}, 303, "done=ceiling"},
		{"a preset of a server that answers none", admin, "/ceiling", url.Values{"to": {"preset:<script>"}}, 502, "cannot be read"},
		{"no scopes", admin, "/ceiling", url.Values{"to": {"scopes"}, "scopes": {" "}}, 400, "either a preset or scopes"},
		{"scopes that are none", admin, "/members/" + me.ID, url.Values{"to": {"scopes"}, "scopes": {"<script>"}}, 400, "&lt;script&gt;"},
		{"a limit", admin, "/members/" + me.ID, url.Values{"to": {"scopes"}, "scopes": {"app:read"}}, 303, "done=member-limit"},
		{"nobody", admin, "/members/nobody", url.Values{"to": {"none"}}, 404, "no such member"},
		{"something else", admin, "/delete", nil, 404, ""},
	} {
		status, body := post(c.cookie, c.where, c.form)
		if status != c.status || !strings.Contains(body, c.says) || strings.Contains(body, "<script>") {
			t.Errorf("%s: %d, want %d %q: %s", c.what, status, c.status, c.says, body)
		}
	}
	if s := now(); s.Visibility != connections.Organization || strings.Join(s.Ceiling, " ") != "app:read app:write" || s.Members[1].Access != "limited" {
		t.Errorf("%+v", s)
	}
	if resp, page := f.do("GET", path, "", "Cookie", member); resp.StatusCode != 200 || !strings.Contains(page, "You get at most <code>app:read</code>") ||
		strings.Contains(page, "<form method=\"post\" action=\""+path) || strings.Contains(page, "ann@acme.test</strong>") {
		t.Errorf("the member's page: %d %s", resp.StatusCode, page)
	}
	if status, _ := post(admin, "/members/"+me.ID, url.Values{"to": {"none"}}); status != http.StatusSeeOther {
		t.Error(status)
	}
	for where, want := range map[string]int{"": 404, "?change=" + me.ID: 404} {
		if resp, _ := f.do("GET", path+where, "", "Cookie", member); resp.StatusCode != want {
			t.Errorf("who gets nothing got %d", resp.StatusCode)
		}
	}
	for _, form := range []struct {
		where string
		form  url.Values
	}{{"/members/" + me.ID, url.Values{"to": {"full"}}}, {"/ceiling", url.Values{"to": {"full"}}}, {"/off", url.Values{"sure": {"yes"}}}} {
		if status, body := post(admin, form.where, form.form); status != http.StatusSeeOther {
			t.Errorf("%s: %d %s", form.where, status, body)
		}
	}
	if s := now(); s.Visibility != connections.Private || s.Ceiling != nil || s.Members[1].Access != "full" {
		t.Errorf("%+v", s)
	}
}
