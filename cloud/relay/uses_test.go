package relay_test

import (
	"context"
	"net/http"
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
		max := f.Person("max@acme.test", "acme", bridge.RoleMember)
		token := f.DeveloperToken(max.Email, "acme")
		for _, path := range []string{"/x", "/x", "/missing", "/fails", "/cut"} {
			f.Do("GET", relay+path, "", "Authorization", "Bearer "+token.Reveal())
		}
		f.Do("GET", relay+"/x", "", "Authorization", f.Bearer())
		f.Do("GET", relay+"/a/../b", "", "Authorization", f.Bearer()) // refused, and no call
		ctx, cancel := context.WithCancel(t.Context())                // of somebody who has gone
		r := f.request("GET", relay+"/x", nil).WithContext(ctx)
		cancel()
		if _, err := f.HTTP.Do(r); err == nil { //nolint:bodyclose // there is none
			t.Error("a cancelled call was answered")
		}
		if uses, err := f.History.MemberUses(t.Context(), f.Ann, connection.ID, 0); err != nil || len(uses) != 0 {
			t.Errorf("stored already: %+v (%v)", uses, err)
		}
		f.relay.Close()
		uses, err := f.History.MemberUses(t.Context(), f.Ann, connection.ID, 0)
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
		own, err := f.History.MemberUses(t.Context(), max, connection.ID, 0)
		if err != nil || len(own) != 1 || own[0].Email != "max@acme.test" {
			t.Errorf("max sees %+v (%v)", own, err)
		}
		h, err := f.History.Of(t.Context(), max, connection.ID)
		if err != nil || h.Days[29].Calls != 6 || h.Days[29].Failures != 2 || h.HalfHours[47].Calls+h.HalfHours[46].Calls != 6 {
			t.Errorf("%+v (%v)", h.Days, err)
		}
	})
}
