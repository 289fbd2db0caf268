package cloud_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/connections"
)

// Undelivered statements are listed with their cause, in the API and on pages, to those who can act on them, until they are
// delivered.
func TestUndelivered(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	var takes atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && !takes.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(s.Close)
	var connection api.Connection
	var keys []string
	for range 2 { // the second replaces the first, whose revocation is due
		key := bridge.NewKey(bridge.KindSK, uuid.New())
		given := key.Text().Disclose()
		var err error
		if connection, err = f.client().Register(t.Context(), api.RegisterRequest{ServerURL: s.URL, APIKey: &given}); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.ID.String())
	}
	f.share(connection.ID, connections.Organization)
	member := f.as(f.memberToken("max@acme.test", bridge.RoleMember))
	if _, err := member.Credential(t.Context(), connection.ID); err != nil {
		t.Fatal(err)
	}
	f.share(connection.ID, connections.Private)
	deliver := func() {
		t.Helper()
		if err := cloud.DeliverRevocations(f.cloud, t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := cloud.WithdrawTokens(f.cloud, t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	list := func(who *apiclient.Cloud) []api.Undelivered {
		t.Helper()
		all, err := who.Undelivered(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if all := list(f.client()); len(all) != 0 {
		t.Errorf("listed before it was tried: %+v", all)
	}
	f.advance(10 * time.Minute)
	deliver()
	all := list(f.client())
	if len(all) != 2 {
		t.Fatalf("%d of 2 are listed: %+v", len(all), all)
	}
	for _, u := range all {
		if u.Since.IsZero() || !strings.Contains(u.Cause, "did not accept") || u.Hint == "" || u.ServerURL != connection.ServerURL || u.NextTryAt == nil {
			t.Errorf("listed as %+v", u)
		}
		switch u.Kind {
		case api.StatementRevocation:
			if u.KeyID != keys[0] || u.ID == "" {
				t.Errorf("the revocation is %+v", u)
			}
		case api.StatementWithdrawal:
			if u.KeyID != keys[1] || u.Connection != connection.ID || len(u.Members) != 1 || u.Members[0] != "max@acme.test" {
				t.Errorf("the withdrawal is %+v", u)
			}
		}
	}
	if all := list(member); len(all) != 0 {
		t.Errorf("a member whom it does not concern is told: %+v", all)
	}
	cookie := f.signIn()
	for _, path := range []string{"/connections", "/connections/" + connection.ID} {
		if page := f.page(path, cookie); !strings.Contains(page, "Not delivered yet") || !strings.Contains(page, "max@acme.test") {
			t.Errorf("%s does not say what is not delivered", path)
		}
	}
	takes.Store(true)
	f.advance(10 * time.Minute)
	deliver()
	if all := list(f.client()); len(all) != 0 {
		t.Errorf("listed once it was delivered: %+v", all)
	}
}
