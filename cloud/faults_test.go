package cloud_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// answer503 holds that an answer says what is wrong with the database, and when to try again.
func answer503(t *testing.T, what string, resp *http.Response, body, code string) {
	t.Helper()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, code) {
		t.Errorf("%s: %d, Retry-After %q: %s", what, resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
}

// TestDatabaseAway holds that nobody is signed out because the database is away: API, pages and OAuth say 503.
func TestDatabaseAway(t *testing.T) {
	dsn := sqldbtest.Postgres(t)
	f := start(t, dsn)
	cookie := f.signIn()
	pat := f.key(f.client(), api.CreateKeyRequest{Kind: "pat", Name: "laptop", Scopes: []string{"connection:read"}}).Key.Reveal()
	tokens := f.deviceTokens()
	restore := sqldbtest.Away(t, dsn)

	for name, headers := range map[string][]string{
		"session token":         {"Authorization", f.bearer()},
		"personal access token": {"Authorization", "Bearer " + pat},
		"cookie":                {"Cookie", cookie},
	} {
		resp, body := f.do("GET", "/v1/connections", "", headers...)
		answer503(t, name, resp, body, "database_unreachable")
	}
	const says = "The database does not answer."
	resp, body := f.do("GET", "/connections", "", "Cookie", cookie, "Accept", "text/html")
	answer503(t, "page", resp, body, says)
	resp, body = f.form("/login", url.Values{"email": {"ann@acme.test"}, "password": {password}}, "Accept", "text/html")
	answer503(t, "signing in", resp, body, says)
	resp, body = f.do("POST", "/v1/sessions", `{"email":"ann@acme.test","password":"`+password+`"}`, "Content-Type", "application/json")
	answer503(t, "password", resp, body, "database_unreachable")
	for _, grant := range []url.Values{
		{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}, "client_id": {api.CLIClientID}},
		{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {"x"}, "client_id": {api.CLIClientID}},
	} {
		resp, body = f.do("POST", "/oauth/token", grant.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		answer503(t, grant.Get("grant_type"), resp, body, "temporarily_unavailable")
	}
	if resp, body = f.do("GET", "/healthz", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("healthz: %d %s", resp.StatusCode, body)
	}
	resp, body = f.do("GET", "/readyz", "")
	answer503(t, "readyz", resp, body, "database_unreachable")

	restore()
	if resp, body = f.do("GET", "/v1/connections", "", "Cookie", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("once it is back: %d %s", resp.StatusCode, body)
	}
	if status, answer := f.oauth("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {api.CLIClientID},
		"refresh_token": {tokens["refresh_token"].(string)}}); status != http.StatusOK {
		t.Errorf("the refresh token is spent: %d %v", status, answer)
	}
}

// TestDatabaseReadOnly holds that reads go on working while nothing can be stored, and that a token handed out before is
// handed out again.
func TestDatabaseReadOnly(t *testing.T) {
	dsn := sqldbtest.Postgres(t)
	f := start(t, dsn)
	known, _ := f.aceServer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	credential := func(token bridge.Secret) (*http.Response, api.Credential, string) {
		resp, body := f.do("POST", "/v1/connections/"+known.ID+"/credential", "", "Authorization", "Bearer "+token.Reveal())
		var c api.Credential
		_ = json.Unmarshal([]byte(body), &c)
		return resp, c, body
	}
	_, before, body := credential(f.token)
	if before.Value.Reveal() == "" {
		t.Fatal(body)
	}
	f.share(known.ID, "organization")
	_, other := f.join("bob@acme.test", bridge.RoleMember)
	restore := sqldbtest.ReadOnly(t, dsn)

	for range 20 { // the pool finds out one by one which of its connections the change has ended
		if resp, _ := f.do("GET", "/v1/connections", "", "Authorization", f.bearer()); resp.StatusCode == http.StatusOK {
			break
		}
	}
	resp, again, body := credential(f.token)
	if resp.StatusCode != http.StatusOK || again.Value.Reveal() != before.Value.Reveal() {
		t.Errorf("a token that was handed out: %d %s", resp.StatusCode, body)
	}
	resp, _, body = credential(other)
	answer503(t, "a token for another person", resp, body, "database_read_only")
	if resp, body = f.do("GET", "/v1/connections", "", "Authorization", f.bearer()); resp.StatusCode != http.StatusOK {
		t.Errorf("reading: %d %s", resp.StatusCode, body)
	}
	resp, body = f.do("DELETE", "/v1/connections/"+known.ID, "", "Authorization", f.bearer())
	answer503(t, "a change", resp, body, "database_read_only")
	resp, body = f.do("GET", "/readyz", "")
	answer503(t, "readyz", resp, body, "database_read_only")
	restore()
	if resp, _, body = credential(other); resp.StatusCode != http.StatusOK {
		t.Errorf("once it takes changes: %d %s", resp.StatusCode, body)
	}
}

// TestDatabaseInTrouble holds that, however the database fails, API and pages say why and when to try again, that nobody is
// treated as signed out, and that reads go on where they can.
func TestDatabaseInTrouble(t *testing.T) {
	for _, trouble := range sqldbtest.Troubles() {
		t.Run(trouble.Name, func(t *testing.T) {
			dsn := trouble.DSN(t)
			f := start(t, dsn)
			cookie := f.signIn()
			known, _ := f.aceServer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
			restore := trouble.Begin(t, dsn, f.cloud.Database())
			detail := ""
			for _, refused := range []struct{ what, method, path, body string }{
				{"an API's change", "DELETE", "/v1/connections/" + known.ID, ""},
				{"signing in", "POST", "/v1/sessions", `{"email":"ann@acme.test","password":"` + password + `"}`},
				{"readiness", "GET", "/readyz", ""},
			} {
				resp, body := f.do(refused.method, refused.path, refused.body, "Authorization", f.bearer(), "Content-Type", "application/json")
				answer503(t, refused.what, resp, body, string(trouble.Code))
				var problem api.Problem
				_ = json.Unmarshal([]byte(body), &problem)
				detail = problem.Detail
			}
			says := strings.ToUpper(detail[:1]) + detail[1:]
			resp, body := f.form("/login", url.Values{"email": {"ann@acme.test"}, "password": {password}}, "Accept", "text/html")
			answer503(t, "a form", resp, body, says)
			for what, headers := range map[string][]string{"API": {"Authorization", f.bearer()}, "page": {"Cookie", cookie, "Accept", "text/html"}} {
				path, want := "/connections", says
				if what == "API" {
					path, want = "/v1/connections", string(trouble.Code)
				}
				resp, body := f.do("GET", path, "", headers...)
				if !trouble.Reads {
					answer503(t, what, resp, body, want)
				} else if resp.StatusCode != http.StatusOK {
					t.Errorf("%s: %d %s", what, resp.StatusCode, body)
				}
			}
			if resp, body := f.do("GET", "/healthz", ""); resp.StatusCode != http.StatusOK {
				t.Errorf("healthz: %d %s", resp.StatusCode, body)
			}
			restore()
			if resp, body := f.do("DELETE", "/v1/connections/"+known.ID, "", "Authorization", f.bearer()); resp.StatusCode != http.StatusOK {
				t.Errorf("afterwards: %d %s", resp.StatusCode, body)
			}
		})
	}
}
