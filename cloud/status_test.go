package cloud_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
)

// The text of a server's status line is not stored; the cause names only its number.
func TestHostileStatus(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 599 \xff\xfe<b>evil</b>" + strings.Repeat("x", 3000) + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
			_ = conn.Close()
		}))
		defer ts.Close()
		key := bridge.NewSecret(plainKey).Disclose()
		connection, err := f.client().Register(t.Context(), api.RegisterRequest{ServerURL: ts.URL, APIKey: &key})
		if err != nil {
			t.Fatal(err)
		}
		checked, err := f.client().Check(t.Context(), connection.ID)
		if err != nil || checked.Status != connections.StatusOffline || checked.Cause != "the server answers with an error: 599" || checked.LatencyMS == nil {
			t.Errorf("%+v (%v)", checked, err)
		}
		h, err := f.client().History(t.Context(), connection.ID)
		if err != nil || h.Days[29].Status != connections.StatusOffline || h.Days[29].Uptime == nil || *h.Days[29].Uptime != 0 {
			t.Errorf("%+v (%v)", h.Days[29], err)
		}
	})
}
