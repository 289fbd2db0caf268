package cloud_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// variable matches what differs between two answers to the same request.
var variable = regexp.MustCompile(`"request_id":"[^"]*"|Request ID: <code>[^<]*</code>|\?v=[0-9a-f]+|"?device_code"?:"[^"]*"|"user_code":"[^"]*"|"verification_uri_complete":"[^"]*"`)

// An unproven account can have the mail sent again and sign out; elsewhere it counts as signed out, or is redirected.
func TestUnprovenEverywhere(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	invitation, err := f.client().Invite(t.Context(), "acme", api.NewInvitation{Role: "admin"})
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(invitation.URL.Reveal(), "token=")
	resp, body := f.form("/invite", url.Values{"token": {secret}, "name": {"Eve"}, "email": {"ceo@acme.test"}, "password": {password}})
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/confirm" {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	cookie := jar("", resp)
	_, value, _ := strings.Cut(cookie, "=")
	routes := f.cloud.Handler().(*echo.Echo).Routes()
	tried := 0
	for _, r := range routes {
		if r.Method == echo.RouteNotFound || strings.HasPrefix(r.Path, "/static/") {
			continue
		}
		path := strings.NewReplacer(":org", "acme", ":id", "0190a000-0000-7000-8000-000000000000", ":user", "x", ":action", "rename", "*", "x").Replace(r.Path)
		if path == "/confirm" || path == "/invite" || path == "/login" { // what it can do, below
			continue
		}
		tried++
		ask := func(headers ...string) (int, string) {
			resp, body := f.do(r.Method, path, "", append([]string{"Content-Type", formType, "Accept", "application/json"}, headers...)...)
			for _, c := range resp.Cookies() {
				if strings.Contains(c.Name, "session") && c.MaxAge >= 0 {
					t.Errorf("%s %s opens a session", r.Method, path)
				}
			}
			return resp.StatusCode, resp.Header.Get("Location") + variable.ReplaceAllString(body, "")
		}
		if r.Method == http.MethodPost && !strings.HasPrefix(path, "/v1/") {
			f.advance(time.Minute) // limits are not what is asked here
		}
		status, answer := ask("Cookie", cookie)
		refused := status == http.StatusSeeOther && strings.HasPrefix(answer, "/confirm") || status == http.StatusForbidden && strings.Contains(answer, "email_unverified")
		if anonStatus, anon := ask(); !refused && (anonStatus != status || anon != answer) {
			t.Errorf("%s %s: %d %s; without it %d %s", r.Method, path, status, answer, anonStatus, anon)
		}
		for _, header := range [][]string{{"Authorization", "Bearer " + value}, {"X-Ace-Api-Key", value}} {
			if !strings.HasPrefix(path, "/v1/") {
				break // a page takes no token
			}
			if status, answer := ask(header...); status < 400 {
				t.Errorf("%s %s with it as a token: %d %s", r.Method, path, status, answer)
			}
		}
	}
	if tried < 80 {
		t.Errorf("only %d routes were tried", tried)
	}
	if resp, _ := f.form("/confirm", url.Values{"action": {"resend"}}, "Cookie", cookie); resp.StatusCode != 200 {
		t.Errorf("send again: %d", resp.StatusCode)
	}
	if _, code := f.session(api.SessionRequest{Email: "ceo@acme.test", Password: bridge.NewSecret(password).Disclose()}); code != "email_unverified" {
		t.Errorf("the password: %q", code)
	}
	if resp, _ := f.form("/confirm", url.Values{"action": {"sign-out"}}, "Cookie", cookie); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/login" {
		t.Errorf("sign out: %d", resp.StatusCode)
	}
	if resp, _ := f.do("GET", "/confirm", "", "Cookie", cookie); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("after it: %d", resp.StatusCode)
	}
}
