package scenario

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/e2e/world"
	"github.com/acebridge/ace/server"
)

// replicated is a world whose cloud and server have a second replica each, on the same databases. Only the second ones do the
// work in the background.
type replicated struct {
	*world.World
	connection api.Connection
	two        http.Handler // of the second server
}

func newReplicated(t *testing.T) *replicated {
	t.Helper()
	const members = "name: test\nscopes: {app:read: r, app:write: w}\npresets: {full: {scopes: ['*'], capped: true}}\n" +
		"roles:\n  viewer: {scopes: [app:read]}\n  member: {scopes: ['app:*', 'key:*']}\n  admin: {scopes: ['app:*', 'audit:read', 'key:*']}\n" +
		"  owner: {scopes: ['app:*', 'audit:read', 'key:*']}\nno_match: authenticated\n"
	rules, err := catalogue.Parse([]byte(members))
	if err != nil {
		t.Fatal(err)
	}
	var cloudCfg cloud.Config
	var serverCfg server.Config
	log := slog.New(slog.DiscardHandler)
	r := &replicated{World: world.NewOf(t, sqldbtest.Postgres(t), sqldbtest.Postgres(t), func(c *cloud.Config) { cloudCfg = *c },
		func(c *server.Config) { c.Catalogue = rules; serverCfg = *c }, log)}
	otherCloud, err := cloud.New(t.Context(), cloudCfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = otherCloud.Close() })
	otherServer, err := server.New(t.Context(), serverCfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = otherServer.Close() })
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = otherCloud.Run(ctx) })
	wg.Go(func() { _ = otherServer.Run(ctx) })
	t.Cleanup(func() { stop(); wg.Wait() })
	r.two = otherServer.Handler()
	r.connection = r.Connect(r.Admin)
	if _, err := r.Admin.Patch(t.Context(), r.connection.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
		t.Fatal(err)
	}
	return r
}

// personal makes a personal key on the server through the connection. The token that it is made with is not kept.
func (r *replicated) personal(who *apiclient.Cloud) api.CreatedKey {
	r.T.Helper()
	credential, err := who.Credential(r.T.Context(), r.connection.ID)
	if err != nil {
		r.T.Fatal(err)
	}
	key, err := apiclient.NewServer(r.URL, credential.Value.Secret, api.ClientConfig{}).CreateKey(r.T.Context(),
		api.CreateKeyRequest{Name: "mine", Scopes: []string{"app:*"}})
	if err != nil {
		r.T.Fatal(err)
	}
	return key
}

// scopes are what the second server lets a key do; empty where it refuses the key.
func (r *replicated) scopes(key api.CreatedKey) string {
	r.T.Helper()
	rec := httptest.NewRecorder()
	req := httptest.NewRequestWithContext(r.T.Context(), http.MethodGet, string(r.URL)+"/whoami", nil)
	req.Header.Set(bridge.HeaderAPIKey, key.Key.Reveal())
	r.two.ServeHTTP(rec, req)
	if rec.Code != http.StatusOK {
		return ""
	}
	return rec.Body.String()
}

// What is taken away at one replica of the cloud holds for personal keys at another replica of the server within a second, also
// long after the last access token, and when the first cloud does nothing more.
func TestTakenAwayOnOtherReplicas(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	ctx := t.Context()
	patch := func(p api.ConnectionPatch) error {
		_, err := r.Admin.Patch(ctx, r.connection.ID, p)
		return err
	}
	limit := func(who string, l api.MemberLimit) error {
		_, err := r.Admin.LimitMember(ctx, r.connection.ID, who, l)
		return err
	}
	program := func(as *apiclient.Cloud, scopes ...string) (*apiclient.Cloud, string) {
		t.Helper()
		key, err := as.CreateKey(ctx, api.CreateKeyRequest{Name: "ci", Scopes: append(scopes, "connection:use", "connection:read")})
		if err != nil {
			t.Fatal(err)
		}
		return r.Admin.As(key.Key.Secret), key.KeyID
	}
	parent, parentID := program(r.Admin, "key:create")
	child, _ := program(parent)
	revoked, revokedID := program(r.Admin)
	disabled, disabledID := program(r.Admin)
	limited, limitedID := program(r.Admin)
	me := func(who *apiclient.Cloud) string {
		t.Helper()
		m, err := who.Me(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return m.ID
	}
	leaver, excepted := r.Person("leaver", bridge.RoleMember), r.Person("excepted", bridge.RoleMember)
	leaverID, exceptedID := me(leaver), me(excepted)
	steps := []struct {
		name string
		who  *apiclient.Cloud
		take func() error
		left string // of what the app is told; empty: the key is dead
	}{
		{"the parent of an API key is revoked", child, func() error { _, err := r.Admin.RevokeKey(ctx, parentID); return err }, ""},
		{"an API key is revoked", revoked, func() error { _, err := r.Admin.RevokeKey(ctx, revokedID); return err }, ""},
		{"an API key is disabled", disabled, func() error { _, err := r.Admin.DisableKey(ctx, disabledID); return err }, ""},
		{"an API key is limited", limited, func() error {
			return limit(limitedID, api.MemberLimit{Access: connections.AccessLimited, Ceiling: api.Ceiling{Scopes: []string{"app:read"}}})
		}, "key:" + limitedID + " app:read"},
		{"a member is removed", leaver, func() error { _, err := r.Admin.RemoveMember(ctx, "acme", leaverID); return err }, ""},
		{"an exception", excepted, func() error { return limit(exceptedID, api.MemberLimit{Access: connections.AccessNone}) }, ""},
		{"a ceiling", r.Member, func() error {
			return patch(api.ConnectionPatch{Ceiling: api.CeilingPatch{Given: true, To: &api.Ceiling{Scopes: []string{"app:read"}}}})
		}, "member@acme.test app:read"},
		{"unshared", r.Member, func() error { return patch(api.ConnectionPatch{Visibility: new(connections.Private)}) }, ""},
	}
	held := make([]api.CreatedKey, len(steps))
	for i, s := range steps {
		if i == len(steps)-1 {
			held[i] = held[i-1] // the ceiling leaves no key to make
			continue
		}
		if held[i] = r.personal(s.who); r.scopes(held[i]) == "" {
			t.Fatalf("%s: the key does not work", s.name)
		}
	}
	r.Advance(10 * time.Minute) // no access token is alive
	for i, s := range steps {
		if err := s.take(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		begun, got := time.Now(), ""
		look := time.NewTicker(10 * time.Millisecond)
		for deadline := begun.Add(sqldbtest.Slow(time.Second)); ; <-look.C {
			if got = r.scopes(held[i]); got == s.left || time.Now().After(deadline) {
				break
			}
		}
		look.Stop()
		if got != s.left {
			t.Errorf("%s: after %v the other server still has %q, want %q", s.name, time.Since(begun), got, s.left)
		}
	}
}
