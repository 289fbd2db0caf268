package cloud_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
)

// Calls through the relay are counted, by member, with those that failed; what was not stored yet is when the cloud closes.
func TestRelayedCallsAreCounted(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		relay, connection := f.behind(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/fails":
				w.WriteHeader(http.StatusInternalServerError)
			case "/cut":
				panic(http.ErrAbortHandler)
			case "/missing":
				w.WriteHeader(http.StatusNotFound)
			}
		})
		f.share(connection.ID, connections.Organization)
		max := f.memberToken("max@acme.test", bridge.RoleMember)
		for _, path := range []string{"/x", "/x", "/missing", "/fails", "/cut"} {
			f.do("GET", relay+path, "", "Authorization", "Bearer "+max.Reveal())
		}
		f.do("GET", relay+"/x", "", "Authorization", f.bearer())
		f.do("GET", relay+"/a/../b", "", "Authorization", f.bearer()) // refused, and no call
		ctx, cancel := context.WithCancel(t.Context())                // of somebody who has gone
		r := f.request("GET", relay+"/x", nil).WithContext(ctx)
		cancel()
		if _, err := f.http.Do(r); err == nil { //nolint:bodyclose // there is none
			t.Error("a cancelled call was answered")
		}
		if uses, err := f.client().MemberUses(t.Context(), connection.ID); err != nil || len(uses) != 0 {
			t.Errorf("stored already: %+v (%v)", uses, err)
		}
		f.restart()
		uses, err := f.client().MemberUses(t.Context(), connection.ID)
		if err != nil || len(uses) != 2 {
			t.Fatalf("%+v (%v)", uses, err)
		}
		for _, use := range uses {
			want := api.MemberUse{Calls: 1}
			if use.Email == "max@acme.test" {
				want = api.MemberUse{Calls: 5, Failures: 2}
			}
			if use.Calls != want.Calls || use.Failures != want.Failures || use.CallMS == nil || *use.CallMS < 1 || use.Days[29] != use.Calls {
				t.Errorf("%+v", use)
			}
		}
		own, err := f.as(max).MemberUses(t.Context(), connection.ID)
		if err != nil || len(own) != 1 || own[0].Email != "max@acme.test" {
			t.Errorf("max sees %+v (%v)", own, err)
		}
		h, err := f.as(max).History(t.Context(), connection.ID)
		if err != nil || h.Days[29].Calls != 6 || h.Days[29].Failures != 2 || h.HalfHours[47].Calls+h.HalfHours[46].Calls != 6 {
			t.Errorf("%+v (%v)", h.Days, err)
		}
	})
}

// A server has no say in what is stored of it.
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
