package cloud_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
)

// Revocations at slow servers do not hold up those at other servers. Keys that are replaced are revoked at once.
func TestSlowServersHoldUpNoRevocation(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	delivered := make(chan struct{})
	replaced := func(revoked http.HandlerFunc) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				revoked(w, r)
			}
			_, _ = io.WriteString(w, "{}")
		}))
		t.Cleanup(s.Close)
		for range 2 {
			key := bridge.NewKey(bridge.KindSK, uuid.New()).Text().Disclose()
			if _, err := f.client().Register(t.Context(), api.RegisterRequest{ServerURL: s.URL, APIKey: &key}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 3 {
		replaced(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-delivered:
			case <-r.Context().Done():
				t.Error("a slow server has held up another's revocation")
			}
		})
		f.advance(time.Second)
	}
	replaced(func(http.ResponseWriter, *http.Request) { close(delivered) })
	if err := cloud.DeliverRevocations(f.cloud, t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(f.auditOf("revocation.deliver")); n != 4 {
		t.Errorf("%d of 4 are delivered", n)
	}
}

func (f *fixture) auditOf(action string) []api.AuditEntry {
	f.t.Helper()
	list, err := f.client().Audit(f.t.Context(), url.Values{"action": {action}})
	if err != nil {
		f.t.Fatal(err)
	}
	return list.Items
}
