package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/server"
)

// TestDatabaseInTrouble checks that keys are verified from memory while the database fails, that every change says why it
// fails and when to retry, and that nothing is reported as a wrong credential.
func TestDatabaseInTrouble(t *testing.T) {
	for _, trouble := range sqldbtest.Troubles() {
		t.Run(trouble.Name, func(t *testing.T) {
			dsn := trouble.DSN(t)
			f := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
				func(cfg *server.Config) { cfg.DatabaseURL = dsn })
			admin := []string{"Authorization", "Bearer " + f.admin.Reveal(), "Content-Type", "application/json"}
			const create = `{"name":"ci","scopes":["app:read"]}`
			resp, body := f.do("POST", "/ace/v1/api-keys", create, admin...)
			if resp.StatusCode != http.StatusCreated {
				t.Fatal(body)
			}
			var created api.CreatedKey
			if err := json.Unmarshal([]byte(body), &created); err != nil {
				t.Fatal(err)
			}
			restore := trouble.Begin(t, dsn, f.server.Database())
			if resp, body := f.do("GET", "/items", "", "X-API-Key", created.Key.Reveal()); resp.StatusCode != http.StatusNoContent {
				t.Errorf("a key in memory: %d %s", resp.StatusCode, body)
			}
			for _, refused := range []struct{ what, method, path, body string }{
				{"creating a key", "POST", "/ace/v1/api-keys", create},
				{"revoking a key", "DELETE", "/ace/v1/api-keys/" + created.KeyID, ""},
				{"an exchange", "POST", "/ace/v1/exchange", ""},
				{"readiness", "GET", "/ace/readyz", ""},
			} {
				headers := admin
				if refused.what == "an exchange" {
					headers = []string{"Authorization", "Bearer " + f.connectToken(f.claims())}
				}
				resp, answer := f.do(refused.method, refused.path, refused.body, headers...)
				if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || f.code(answer) != trouble.Code ||
					!strings.Contains(answer, `"detail"`) {
					t.Errorf("%s: %d %s", refused.what, resp.StatusCode, answer)
				}
			}
			if resp, body := f.do("GET", "/ace/v1/api-keys", "", admin...); trouble.Reads != (resp.StatusCode == http.StatusOK) ||
				!trouble.Reads && (resp.StatusCode != http.StatusServiceUnavailable || f.code(body) != trouble.Code) {
				t.Errorf("listing keys: %d %s", resp.StatusCode, body)
			}
			if resp, body := f.do("GET", "/ace/healthz", ""); resp.StatusCode != http.StatusOK {
				t.Errorf("healthz: %d %s", resp.StatusCode, body)
			}
			restore()
			if resp, body := f.do("POST", "/ace/v1/api-keys", create, admin...); resp.StatusCode != http.StatusCreated {
				t.Errorf("afterwards: %d %s", resp.StatusCode, body)
			}
		})
	}
}
