package server_test

import (
	"net/http"
	"testing"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/server"
)

// TestTextOnly checks that the app judges what it gets itself, and that the server's own endpoints refuse anything but text.
func TestTextOnly(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		var got string
		f := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.RequestURI
			w.WriteHeader(http.StatusTeapot)
		}), func(cfg *server.Config) { cfg.DatabaseURL = dsn })
		admin := "Bearer " + f.admin.Reveal()
		for _, tt := range []struct {
			method, path, body string
			want               int
		}{
			{"GET", "/ace/v1/audit?actor=%00", "", 400},
			{"GET", "/ace/v1/audit?cursor=%ff", "", 400},
			{"GET", "/ace/v1/api-keys?cursor=%00", "", 400},
			{"GET", "/ace/v1/refusals/%00", "", 400},
			{"DELETE", "/ace/v1/api-keys/%00", "", 400},
			{"POST", "/ace/v1/api-keys", `{"name":"a\u0000"}`, 400},
			{"GET", "/ace/v1/verify?x=%00", "", 204},
			{"GET", "/app/%ff?x=%00", "", http.StatusTeapot},
			{"GET", "/acex/%fe?x=%ff", "", http.StatusTeapot},
		} {
			got = ""
			resp, body := f.do(tt.method, tt.path, tt.body, "Authorization", admin)
			if resp.StatusCode != tt.want {
				t.Errorf("%s %s %s: %d %s, want %d", tt.method, tt.path, tt.body, resp.StatusCode, body, tt.want)
			}
			if tt.want == http.StatusTeapot && got != tt.path {
				t.Errorf("the app gets %q for %q", got, tt.path)
			}
		}
	})
}
