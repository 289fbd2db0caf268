package cloud_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// Text that a database does not accept is refused wherever it can arrive, and is not logged as a failure.
func TestTextOnly(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		cookie := f.signIn()
		bearer := []string{"Authorization", "Bearer " + f.token.Reveal()}
		asJSON := append([]string{"Content-Type", "application/json"}, bearer...)
		signedIn := []string{"Cookie", cookie}
		asForm := []string{"Cookie", cookie, "Content-Type", formType}
		for _, tt := range []struct {
			method, path, body string
			headers            []string
			want               int
		}{
			{"GET", "/v1/connections?cursor=%00", "", bearer, 400},
			{"GET", "/v1/connections/%00", "", bearer, 400},
			{"GET", "/v1/connections/a%2Frelay%2F%00", "", bearer, 400},
			{"DELETE", "/v1/connections/%ff", "", bearer, 400},
			{"GET", "/v1/connections/%ff/relay/%fe?q=%00", "", bearer, 404},
			{"GET", "/v1/api-keys?cursor=%00", "", bearer, 400},
			{"GET", "/v1/organizations/acme/members?cursor=%ff", "", bearer, 400},
			{"GET", "/v1/organizations/%00/members", "", bearer, 400},
			{"GET", "/v1/audit?actor=%00", "", bearer, 400},
			{"GET", "/v1/audit/export?format=csv&action=%ff", "", bearer, 400},
			{"DELETE", "/v1/sessions/%00", "", bearer, 400},
			{"POST", "/v1/sessions/switch", `{"org":"a\u0000"}`, asJSON, 400},
			{"POST", "/v1/sessions", `{"email":"a\u0000@b.c","password":"x"}`, asJSON, 400},
			{"POST", "/v1/connections", `{"server_url":"https://a.test","name":"a\u0000"}`, asJSON, 400},
			{"POST", "/oauth/token", "grant_type=refresh_token&refresh_token=%00", []string{"Content-Type", formType}, 400},
			{"POST", "/oauth/revoke", "token=%ff", []string{"Content-Type", formType}, 400},
			{"GET", "/connections?cursor=%00", "", signedIn, 400},
			{"GET", "/members?cursor=%00", "", signedIn, 400},
			{"GET", "/device?user_code=%00", "", signedIn, 400},
			{"GET", "/invite?token=%00", "", nil, 400},
			{"GET", "/reset?token=%ff", "", nil, 400},
			{"GET", "/address?token=%00", "", nil, 400},
			{"GET", "/address/stop?token=%ff", "", nil, 400},
			{"POST", "/address/stop", "token=%ff", []string{"Content-Type", formType}, 400},
			{"POST", "/settings/address", "action=change&email=%00", asForm, 400},
			{"POST", "/v1/me/address", `{"email":"a\u0000@b.c","password":"x"}`, asJSON, 400},
			{"POST", "/login", "email=%00&password=x", []string{"Content-Type", formType}, 400},
			{"POST", "/login", "email=a%40b.c&password=%ff", []string{"Content-Type", formType}, 400},
			{"POST", "/forgot", "email=%ff%40b.c", []string{"Content-Type", formType}, 400},
			{"POST", "/device", "action=approve&user_code=%00", asForm, 400},
			{"POST", "/settings", "action=profile&name=%00", asForm, 400},
			{"GET", "/v1/connections", "", append([]string{"User-Agent", "\xff"}, bearer...), 200},
			{"POST", "/v1/developer-tokens", "", []string{"User-Agent", "\xff", "Cookie", cookie, "Sec-Fetch-Site", "same-origin"}, 201},
		} {
			resp, body := f.do(tt.method, tt.path, tt.body, tt.headers...)
			malformed := strings.Contains(body, "text_malformed") || strings.Contains(body, "NUL byte")
			if resp.StatusCode != tt.want || (tt.want == http.StatusBadRequest && !malformed) {
				t.Errorf("%s %s %s: %d %s, want %d", tt.method, tt.path, tt.body, resp.StatusCode, body, tt.want)
			}
		}
	})
}
