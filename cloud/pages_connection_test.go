package cloud_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// A connection's pages are shown only to those who see it; for anyone else the connection does not exist.
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

// A connection's pages describe its key correctly to each reader: a plain key has no roles, and reaches only its owner's
// browser.
func TestWhatThePagesSayOfAKey(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	f.member("bob@acme.test", bridge.RoleMember)
	owner, member := f.signIn(), f.signInAs("bob@acme.test")
	_, plain := f.behind(func(http.ResponseWriter, *http.Request) {})
	f.share(plain.ID, "organization")
	says := func(cookie, path, want string) {
		t.Helper()
		text := strings.Join(strings.Fields(f.page(path, cookie)), " ")
		if !strings.Contains(text, want) {
			t.Errorf("%s does not say %q:\n%s", path, want, text)
		}
		for _, untrue := range []string{"five minutes", "your role may"} {
			if strings.Contains(text, untrue) != strings.Contains(want, untrue) {
				t.Errorf("%s says %q:\n%s", path, untrue, text)
			}
		}
	}
	path := "/connections/" + plain.ID
	says(owner, "/connections", "Calls the server with the API key itself")
	says(member, "/connections", "Calls the server through the relay")
	says(owner, path+"/explorer", "this browser calls with the key itself")
	says(member, path+"/explorer", "The API key is added by the relay")
	says(owner, path, "<dt>You may</dt><dd>everything its key allows</dd>")
	says(owner, path, "If you open the page, it gets the API key itself")
	says(member, path, "Neither of them shows anybody the key")
	says(member, path, "<dt>You may</dt><dd>everything the key allows, through the cloud</dd>")
	says(member, path+"/sharing", "You get everything the key allows, through the cloud.")
	if _, err := f.client().Patch(t.Context(), plain.ID, api.ConnectionPatch{ServerURL: new("https://moved.example")}); err != nil {
		t.Fatal(err)
	}
	says(owner, path+"/sharing", "a plain key, or none since its URL was changed")
	if _, err := f.client().Delete(t.Context(), plain.ID); err != nil {
		t.Fatal(err)
	}

	ace, _ := f.aceServer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	f.share(ace.ID, "organization")
	path = "/connections/" + ace.ID
	says(member, "/connections", "Calls the server with a credential that is valid for five minutes")
	says(member, path+"/explorer", "this browser holds it for five minutes at most")
	says(owner, path, "<dt>You may</dt><dd>everything its key allows</dd>")
	says(member, path, "<dt>You may</dt><dd>everything your role allows on the server</dd>")
	ceiling := api.ConnectionPatch{Ceiling: api.CeilingPatch{Given: true, To: &api.Ceiling{Scopes: []string{"app:read"}}}}
	if _, err := f.client().Patch(t.Context(), ace.ID, ceiling); err != nil {
		t.Fatal(err)
	}
	says(member, path, "<dt>You may</dt><dd>at most <code>app:read</code>, and never more than your role allows</dd>")

	// The ceiling stays when the connection moves to a server that knows only plain keys.
	key := bridge.NewSecret(plainKey).Disclose()
	if _, err := f.client().Patch(t.Context(), ace.ID, api.ConnectionPatch{ServerURL: new("https://moved.example"), APIKey: &key}); err != nil {
		t.Fatal(err)
	}
	says(member, path, "<dt>You may</dt><dd>nothing: you are limited to <code>app:read</code>")
}
