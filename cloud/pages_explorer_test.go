package cloud_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// The explorer may call only the connection's server, says what to do without scripts, and holds no key.
func TestTheExplorersPage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	_, connection := f.behind(func(http.ResponseWriter, *http.Request) {})
	path := "/connections/" + connection.ID + "/explorer"
	resp, page := f.do("GET", path, "", "Cookie", f.signIn())
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%d: %s", resp.StatusCode, page)
	}
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "connect-src 'self' "+connection.ServerURL.Origin()) {
		t.Errorf("the policy is %s", policy)
	}
	for _, want := range []string{`<noscript>`, `curl -H &#34;Authorization: Bearer $(ace auth token)&#34;`, "/v1/connections/" + connection.ID + "/relay/",
		`data-explorer="` + connection.ID + `"`, `aria-current="page">Explorer`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	_, linked := f.do("GET", path+"?path=/a'%3Bb", "", "Cookie", f.signIn())
	if !strings.Contains(linked, `value="/a&#39;;b"`) || !strings.Contains(linked, `/relay/a&#39;;b&#34;`) || strings.Contains(linked, "data-begin") {
		t.Errorf("a link with a path: %s", linked)
	}
	f.member("bob@acme.test", bridge.RoleMember)
	if resp, _ := f.do("GET", path, "", "Cookie", f.signInAs("bob@acme.test")); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a member to whom it is not shared got %d", resp.StatusCode)
	}
}

// Nobody can call a private connection whose owner is no longer a member.
func TestTheExplorerOfAConnectionWithoutOwner(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	bob := f.member("bob@acme.test", bridge.RoleMember)
	key := bridge.NewSecret("plain").Disclose()
	connection, err := bob.Register(t.Context(), api.RegisterRequest{ServerURL: "https://gone.example", APIKey: &key})
	if err != nil {
		t.Fatal(err)
	}
	members, err := f.client().Members(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if m.Email == "bob@acme.test" {
			if _, err := f.client().RemoveMember(t.Context(), "acme", m.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	resp, page := f.do("GET", "/connections/"+connection.ID+"/explorer", "", "Cookie", f.signIn())
	if resp.StatusCode != http.StatusOK || !strings.Contains(page, "Nobody can call this server") || strings.Contains(page, "data-explorer") {
		t.Errorf("%d: %s", resp.StatusCode, page)
	}
}
