package cloud_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// auditRows are the entries that an audit page shows.
var auditRow = regexp.MustCompile(`(?s)<tr>\s*<td data-label="Time">.*?</tr>`)

func (f *fixture) auditPage(path, cookie string) (rows []string, page string) {
	f.t.Helper()
	resp, page := f.do("GET", path, "", "Cookie", cookie)
	if resp.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %d %s", path, resp.StatusCode, page)
	}
	return auditRow.FindAllString(page, -1), page
}

// link is where the link of a name on a page leads.
func link(page, name string) string {
	if m := regexp.MustCompile(`href="([^"]*)"[^>]*>` + name + `</a>`).FindStringSubmatch(page); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

func TestAuditPage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cookie := f.signIn()
	_, connection := f.behind(func(http.ResponseWriter, *http.Request) {})
	f.member("bob@acme.test", bridge.RoleMember)
	bob := f.signInAs("bob@acme.test")
	if resp, _ := f.do("GET", "/audit", "", "Cookie", bob); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a member got %d", resp.StatusCode)
	}
	if _, page := f.do("GET", "/connections", "", "Cookie", bob); strings.Contains(page, `href="/audit"`) {
		t.Error("a member's menu leads to the audit log")
	}
	by := audit.Actor{ID: "user:ann@acme.test", Org: "acme", Address: "192.0.2.7", RequestID: "first-request"}
	for i := range 120 {
		if err := f.cloud.Registry().Accounts.Note(t.Context(), by, "trust.show", "organization:acme", map[string]string{"n": fmt.Sprint(i), "name": "<b>bold</b>"}); err != nil {
			t.Fatal(err)
		}
	}
	rows, page := f.auditPage("/audit", cookie)
	if len(rows) != 30 || !strings.Contains(rows[0], "n 119") || !strings.Contains(rows[0], "192.0.2.7") || !strings.Contains(rows[0], "Show the trust variables") {
		t.Fatalf("%d rows, the first: %s", len(rows), rows[0])
	}
	if strings.Contains(page, "<b>bold") || link(page, "Newer") != "" {
		t.Error("what the log holds is markup, or there is something newer than the newest")
	}

	// Paging to the oldest entry and back to the newest shows every entry once.
	seen := map[string]int{}
	for path := "/audit?action=trust.show"; path != ""; path = link(page, "Older") {
		rows, page = f.auditPage(path, cookie)
		for _, row := range rows {
			seen[regexp.MustCompile(`n \d+`).FindString(row)]++
		}
	}
	if len(seen) != 120 || seen["n 0"] != 1 {
		t.Errorf("%d entries were seen, the oldest %d times", len(seen), seen["n 0"])
	}
	pages := 1
	for ; link(page, "Newer") != ""; pages++ {
		if rows, page = f.auditPage(link(page, "Newer"), cookie); len(rows) != 30 {
			t.Errorf("a newer page has %d rows", len(rows))
		}
	}
	if pages != 4 || !strings.Contains(rows[0], "n 119") {
		t.Errorf("after %d pages the newest begins with %s", pages, rows[0])
	}

	for query, want := range map[string]int{
		"actor=ann%40acme.test&action=connection.register": 1,
		"outcome=refused":                        0,
		"request_id=first-request&to=2001-01-01": 0,
		"action=connection.register":             1,
		"target=connection:" + connection.ID:     1,
		"action=no.such":                         0,
	} {
		if rows, page := f.auditPage("/audit?"+query, cookie); len(rows) != want || (want == 0) != strings.Contains(page, "Nothing matches") {
			t.Errorf("%s: %d rows", query, len(rows))
		}
	}
	if rows, page := f.auditPage("/audit?target=connection:"+connection.ID, cookie); link(rows[0], connection.Name) != "/connections/"+connection.ID {
		t.Errorf("no link to the connection: %s", page)
	}
	if resp, page := f.do("GET", "/audit?from=yesterday", "", "Cookie", cookie); resp.StatusCode != http.StatusBadRequest ||
		!strings.Contains(page, "neither a day nor a time") || !strings.Contains(page, `name="from"`) {
		t.Errorf("a day that is none: %d", resp.StatusCode)
	}

	// The download has what the page selects, under the same name.
	today := f.clock().UTC().Format("2006-01-02")
	_, page = f.auditPage("/audit?actor=ann%40acme.test&outcome=ok&from="+today+"&to="+today+"&action=trust.show", cookie)
	resp, lines := f.do("GET", link(page, "JSON Lines"), "", "Cookie", cookie)
	if resp.StatusCode != http.StatusOK || strings.Count(lines, `"action":"trust.show"`) != 120 || strings.Count(lines, "\n") != 120 {
		t.Errorf("the download: %d, %d lines", resp.StatusCode, strings.Count(lines, "\n"))
	}
}

// The owner of a connection reads its audit entries without addresses; a member who only uses it reads none.
func TestAConnectionsAuditPage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	admin := f.signIn()
	bobID, bobToken := f.join("bob@acme.test", bridge.RoleAdmin)
	f.member("cleo@acme.test", bridge.RoleMember)
	bob, cleo := f.signInAs("bob@acme.test"), f.signInAs("cleo@acme.test")
	resp, page := f.post("/connections", bob, url.Values{"server_url": {"http://127.0.0.1:9"}, "name": {"bobs"}, "api_key": {"some-plain-key"}})
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d %s", resp.StatusCode, page)
	}
	_, page = f.do("GET", "/connections", "", "Cookie", bob)
	path := link(page, "bobs") + "/audit"
	if resp, _ := f.do("GET", path, "", "Cookie", cleo); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a member who does not see it got %d", resp.StatusCode)
	}
	id := strings.Split(path, "/")[2]
	by := audit.Actor{ID: "user:ann@acme.test", Org: "acme", Address: "192.0.2.7"}
	for _, target := range []string{"connection:" + id, "connection:other"} {
		if err := f.cloud.Registry().Accounts.Note(t.Context(), by, "connection.relay", target, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.client().As(bobToken).Patch(t.Context(), id, api.ConnectionPatch{Visibility: new("organization")}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client().ChangeRole(t.Context(), "acme", bobID, "member"); err != nil {
		t.Fatal(err)
	}
	if resp, page := f.do("GET", path, "", "Cookie", cleo); resp.StatusCode != http.StatusForbidden || strings.Contains(page, "192.0.2.7") {
		t.Errorf("a member to whom it is shared got %d", resp.StatusCode)
	}
	if _, page := f.do("GET", "/connections/"+id, "", "Cookie", cleo); strings.Contains(page, path) {
		t.Error("the tab is there for somebody to whom it does not open")
	}
	rows, page := f.auditPage(path, bob)
	if len(rows) != 3 || !strings.Contains(rows[1], "ann@acme.test") || strings.Contains(page, "192.0.2.7") || !strings.Contains(rows[2], "127.0.0.1") {
		t.Errorf("the owner reads %s", rows)
	}
	if strings.Contains(page, "/v1/audit/export") {
		t.Error("the owner is offered what is for admins")
	}
	if rows, _ := f.auditPage(path+"?action=connection.relay&target=connection:other", bob); len(rows) != 1 {
		t.Errorf("with filters the owner reads %s", rows)
	}
	rows, page = f.auditPage(path, admin)
	if len(rows) != 3 || !strings.Contains(page, "192.0.2.7") || link(page, "CSV") != "/v1/audit/export?format=csv&target=connection%3A"+id {
		t.Errorf("an admin reads %s", rows)
	}
}
