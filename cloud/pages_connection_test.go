package cloud_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// A connection's pages are for those who see it: to anybody else there is no such connection.
func TestAConnectionsPagesAreForThoseWhoSeeIt(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	_, connection := f.behind(func(http.ResponseWriter, *http.Request) {})
	f.member("bob@acme.test", bridge.RoleMember)
	theirs := f.signInAs("bob@acme.test")
	path := "/connections/" + connection.ID

	if resp, page := f.do("GET", path, "", "Cookie", f.signIn()); resp.StatusCode != http.StatusOK ||
		!strings.Contains(page, connection.Name) || !strings.Contains(page, `data-connection="`+connection.ID+`"`) {
		t.Errorf("the owner got %d: %s", resp.StatusCode, page)
	}
	if resp, _ := f.do("GET", path, "", "Cookie", theirs); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a member to whom it is not shared got %d", resp.StatusCode)
	}
	f.share(connection.ID, "organization")
	if resp, _ := f.do("GET", path, "", "Cookie", theirs); resp.StatusCode != http.StatusOK {
		t.Errorf("a member to whom it is shared got %d", resp.StatusCode)
	}
	if resp, _ := f.do("GET", path, ""); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("who is not signed in got %d", resp.StatusCode)
	}
}
