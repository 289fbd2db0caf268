package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/server"
)

// TestDatabaseInTrouble holds that keys are verified from memory while the database is away or read-only, and that nothing else
// is taken for a wrong credential.
func TestDatabaseInTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		trouble func(testing.TB, string) func()
		code    string
	}{
		"away":      {sqldbtest.Away, sqldb.CodeUnreachable},
		"read-only": {sqldbtest.ReadOnly, sqldb.CodeReadOnly},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := sqldbtest.Postgres(t)
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
			key := created.Key.Reveal()
			restore := c.trouble(t, dsn)
			if resp, body := f.do("GET", "/items", "", "X-API-Key", key); resp.StatusCode != http.StatusNoContent {
				t.Errorf("a key in memory: %d %s", resp.StatusCode, body)
			}
			for what, path := range map[string]string{"a change": "/ace/v1/api-keys", "readiness": "/ace/readyz"} {
				method, body := "POST", create
				if what == "readiness" {
					method, body = "GET", ""
				}
				resp, answer := f.do(method, path, body, admin...)
				if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(answer, c.code) {
					t.Errorf("%s: %d %s", what, resp.StatusCode, answer)
				}
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
