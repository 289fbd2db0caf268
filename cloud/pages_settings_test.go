package cloud_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// Every settings page links to every other that the person may open, and to no more.
func TestSettingsLeadToEachOther(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	f.member("bob@acme.test", bridge.RoleMember)
	for cookie, pages := range map[string][]string{
		f.signIn():                  {"/settings", "/settings/security", "/settings/sessions", "/settings/token", "/settings/provider", "/settings/trust"},
		f.signInAs("bob@acme.test"): {"/settings", "/settings/security", "/settings/sessions", "/settings/token"},
	} {
		for _, path := range pages {
			resp, page := f.do("GET", path, "", "Cookie", cookie)
			if resp.StatusCode != http.StatusOK || !strings.Contains(page, `href="`+path+`" aria-current="page"`) {
				t.Errorf("%s: %d, or it is not marked in its menu", path, resp.StatusCode)
			}
			for _, other := range []string{"/settings/sessions", "/settings/token", "/settings/provider", "/settings/trust"} {
				if strings.Contains(page, `href="`+other+`"`) != (len(pages) == 6 || !strings.HasSuffix(other, "provider") && !strings.HasSuffix(other, "trust")) {
					t.Errorf("%s and a link to %s, for %d pages", path, other, len(pages))
				}
			}
		}
	}
}

func TestTrustPage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	f.member("bob@acme.test", bridge.RoleMember)
	admin, bob := f.signIn(), f.signInAs("bob@acme.test")
	trust, err := f.client().Trust(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	_, page := f.do("GET", "/settings/trust?server=https://ACE.acme.test/", "", "Cookie", admin)
	for _, want := range []string{"ACE_CLOUD_PUBLIC_KEY=" + trust.PublicKey, "ACE_PUBLIC_URL=https://ace.acme.test\n", "ACE_PUBLIC_URL: &#34;https://ace.acme.test&#34;",
		"ace connect --server https://ace.acme.test<"} {
		if !strings.Contains(page, want) {
			t.Errorf("there is no %q in %s", want, page)
		}
	}
	if strings.Contains(page, trust.JWTSecret.Reveal()) {
		t.Error("the shared secret stands there for who has not asked for it")
	}
	if _, page := f.do("GET", "/settings/trust?server=http://localhost:7777", "", "Cookie", admin); strings.Contains(page, "ACE_PUBLIC_URL") {
		t.Error("a server on one's own machine is given more than it needs")
	}
	for _, server := range []string{"ace", "https://ace.test/$(id)", "https://ace.test/';id;'", "https://u:p@ace.test"} {
		if resp, page := f.do("GET", "/settings/trust?server="+url.QueryEscape(server), "", "Cookie", admin); resp.StatusCode != http.StatusBadRequest ||
			!strings.Contains(page, `role="alert"`) || strings.Contains(page, "--server "+server) {
			t.Errorf("%s: %d", server, resp.StatusCode)
		}
	}
	shown := func() int {
		_, log := f.do("GET", "/v1/audit?action=trust.show", "", "Authorization", "Bearer "+f.token.Reveal())
		return strings.Count(log, `"action":"trust.show"`)
	}
	before := shown()
	if _, page := f.post("/settings/trust", admin, url.Values{"action": {"secret"}}); !strings.Contains(page, "ACE_CLOUD_JWT_SECRET="+trust.JWTSecret.Reveal()) || shown() != before+1 {
		t.Error("the shared secret is not shown, or not audited")
	}
	for _, method := range []string{"GET", "POST"} {
		if resp, page := f.do(method, "/settings/trust", "", "Cookie", bob, "Sec-Fetch-Site", "same-origin"); resp.StatusCode != http.StatusForbidden || strings.Contains(page, trust.PublicKey) {
			t.Errorf("%s by a member: %d", method, resp.StatusCode)
		}
	}
	if shown() != before+1 {
		t.Error("a refusal is audited as if the secret had been shown")
	}
}

func TestSessionsPage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	here, there := f.signIn(), f.signIn()
	_, page := f.do("GET", "/settings/sessions", "", "Cookie", here)
	m := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no session can be ended: %s", page)
	}
	id := m[1]
	if resp, page := f.post("/settings/sessions", here, url.Values{"action": {"end"}, "id": {"no-such-session"}}); resp.StatusCode != http.StatusNotFound || !strings.Contains(page, `role="alert"`) {
		t.Errorf("a session that is none: %d", resp.StatusCode)
	}
	if resp, page := f.post("/settings/sessions", here, url.Values{"action": {"end"}, "id": {id}}); resp.StatusCode != http.StatusOK || !strings.Contains(page, "has ended") {
		t.Errorf("end one: %d %s", resp.StatusCode, page)
	}
	if resp, page := f.post("/settings/sessions", here, url.Values{"action": {"end-others"}}); resp.StatusCode != http.StatusOK || !strings.Contains(page, "have ended") {
		t.Errorf("end the others: %d %s", resp.StatusCode, page)
	}
	for cookie, want := range map[string]int{here: http.StatusOK, there: http.StatusSeeOther} {
		if resp, _ := f.do("GET", "/settings/sessions", "", "Cookie", cookie); resp.StatusCode != want {
			t.Errorf("afterwards: %d, want %d", resp.StatusCode, want)
		}
	}
}
