package cloud_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
)

// as is a client with a credential of the cloud.
func (f *fixture) as(credential bridge.Secret) *apiclient.Cloud { return f.client().As(credential) }

// member adds a person and returns a client with their developer token.
func (f *fixture) member(email string, role bridge.Role) *apiclient.Cloud {
	f.t.Helper()
	_, token := f.join(email, role)
	return f.as(token)
}

func (f *fixture) key(c *apiclient.Cloud, r api.CreateKeyRequest) api.CreatedKey {
	f.t.Helper()
	key, err := c.CreateKey(f.t.Context(), r)
	if err != nil {
		f.t.Fatal(err)
	}
	return key
}

func wantCode(t *testing.T, what string, err error, code bridge.Code) {
	t.Helper()
	if got := bridge.CodeOf(err); got != code || (err == nil) != (code == "") {
		t.Errorf("%s: the error is %q (%v), want %q", what, got, err, code)
	}
}

func TestKeysOfTheCloud(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		ctx, admin := t.Context(), f.client()
		key := f.key(admin, api.CreateKeyRequest{Name: "terraform-prod", Description: "IaC", Preset: "connect"})
		if key.Kind != "live" || key.Owner != "ann@acme.test" || key.Prefix == "" || key.ExpiresAt.Sub(f.clock()).Round(time.Hour) != 90*24*time.Hour {
			t.Errorf("the key is %+v", key.APIKey)
		}
		service := f.as(key.Key.Secret)
		me, err := service.Me(ctx)
		if err != nil || me.Method != "api_key" || me.Name != "terraform-prod" || me.Email != "" || me.Org != "acme" || me.KeyID != key.KeyID ||
			!slices.Contains(me.Scopes, "connection:create") || slices.Contains(me.Scopes, "connection:share") {
			t.Fatalf("the key is %+v (%v)", me, err)
		}
		resp, _ := f.do("GET", "/v1/me", "", "X-Ace-Api-Key", key.KeyID+"."+key.Key.Reveal())
		if resp.StatusCode != http.StatusOK {
			t.Errorf("KEYID.KEY: %d", resp.StatusCode)
		}

		// It cannot do what its scopes do not allow, nor what only a person may do.
		_, err = service.Keys(ctx)
		wantCode(t, "list keys", err, "scope_missing")
		_, err = service.CreateKey(ctx, api.CreateKeyRequest{Name: "x"})
		wantCode(t, "create a key", err, "scope_missing")
		_, err = service.Trust(ctx, "acme")
		wantCode(t, "trust", err, "scope_missing")
		resp, _ = f.do("POST", "/v1/developer-tokens", "", "X-Ace-Api-Key", key.Key.Reveal())
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("a key makes a developer token: %d", resp.StatusCode)
		}

		// A connection of a key is the key's.
		connection, err := service.Register(ctx, api.RegisterRequest{ServerURL: "https://ace.test", APIKey: aceKey()})
		if err != nil || !connection.Mine || connection.Owner != "key:"+key.KeyID {
			t.Fatalf("the connection is %+v (%v)", connection, err)
		}
		if _, err := service.Credential(ctx, connection.ID); err != nil {
			t.Error(err)
		}
		if _, err := service.ConnectToken(ctx, "https://ace.test", nil); err != nil {
			t.Errorf("a connect token for a key: %v", err)
		}
		sandbox := f.as(f.key(admin, api.CreateKeyRequest{Name: "sandbox", Kind: "test", Scopes: []string{"connection:*", "key:create"}}).Key.Secret)
		tried, err := sandbox.Register(ctx, api.RegisterRequest{ServerURL: "https://test.test", APIKey: aceKey()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sandbox.Patch(ctx, tried.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
			t.Fatal(err)
		}
		if list, err := service.Connections(ctx); err != nil || len(list) != 1 {
			t.Errorf("the live key sees %d connections (%v)", len(list), err)
		}
		if list, err := sandbox.Connections(ctx); err != nil || len(list) != 1 || list[0].ID != tried.ID {
			t.Errorf("the test key sees %v (%v)", list, err)
		}
		if list, err := admin.Connections(ctx); err != nil || len(list) != 1 { // the shared one
			t.Errorf("the admin sees %d connections (%v)", len(list), err)
		}
		_, err = sandbox.CreateKey(ctx, api.CreateKeyRequest{Name: "x", Kind: "live", Scopes: []string{"connection:read"}})
		wantCode(t, "a live key by a test key", err, "key_environment")
		_, err = sandbox.CreateKey(ctx, api.CreateKeyRequest{Name: "x", Scopes: []string{"member:read"}})
		wantCode(t, "more than its own", err, "scope_ceiling")

		if _, err := admin.RevokeKey(ctx, key.KeyID); err != nil {
			t.Fatal(err)
		}
		_, err = service.Me(ctx)
		wantCode(t, "a revoked key", err, "key_revoked")
	})
}

func TestPersonalAccessTokens(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		ctx, admin := t.Context(), f.client()
		max, eve := f.member("max@acme.test", bridge.RoleMember), f.member("eve@acme.test", bridge.RoleMember)
		token := f.key(max, api.CreateKeyRequest{Name: "laptop", Preset: "full"})
		if token.Kind != "pat" || token.Owner != "max@acme.test" {
			t.Errorf("the token is %+v", token.APIKey)
		}
		_, err := max.CreateKey(ctx, api.CreateKeyRequest{Name: "x", Kind: "live"})
		wantCode(t, "a member's key of the organization", err, "key_organization")
		_, err = max.CreateKey(ctx, api.CreateKeyRequest{Name: "x", Scopes: []string{"audit:read"}})
		wantCode(t, "more than a member may", err, "scope_ceiling")

		pat := f.as(token.Key.Secret)
		me, err := pat.Me(ctx)
		if err != nil || me.Method != "pat" || me.Email != "max@acme.test" || me.Role != "member" || slices.Contains(me.Scopes, "audit:read") {
			t.Errorf("the token is %+v (%v)", me, err)
		}
		_, err = pat.CreateKey(ctx, api.CreateKeyRequest{Name: "x", ExpiresIn: "365d"})
		wantCode(t, "a token that outlives its own", err, "expiry_ceiling")

		// Others do not see it; an admin does, and may end it, but not act as its person.
		_, err = eve.Key(ctx, token.KeyID)
		wantCode(t, "another member looks", err, "key_unknown")
		_, err = eve.RevokeKey(ctx, token.KeyID)
		wantCode(t, "another member revokes", err, "key_unknown")
		app := f.as(f.key(admin, api.CreateKeyRequest{Name: "app", Scopes: []string{"key:*"}}).Key.Secret)
		_, err = app.Key(ctx, token.KeyID)
		wantCode(t, "a key of the organization looks", err, "key_unknown")
		_, err = admin.ReviveKey(ctx, token.KeyID, api.ReviveKeyRequest{})
		wantCode(t, "an admin revives", err, "key_owner")
		if list, err := admin.Keys(ctx); err != nil || len(list) != 2 {
			t.Errorf("the admin sees %d keys (%v)", len(list), err)
		}
		if list, err := max.Keys(ctx); err != nil || len(list) != 1 {
			t.Errorf("the member sees %d keys (%v)", len(list), err)
		}
		fresh, err := max.ReviveKey(ctx, token.KeyID, api.ReviveKeyRequest{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = pat.Me(ctx)
		wantCode(t, "the secret before", err, "key_invalid")
		if _, err := admin.RevokeKey(ctx, token.KeyID); err != nil {
			t.Fatal(err)
		}
		_, err = f.as(fresh.Key.Secret).Me(ctx)
		wantCode(t, "a revoked token", err, "key_revoked")
	})
}

func aceKey() *bridge.Disclosed {
	return new(bridge.NewKey(bridge.KindSK, uuid.New()).Text().Disclose())
}

// A personal access token ends with the membership in which it was made, and never has more rights than its person.
func TestPersonalAccessTokenLeavesWithItsPerson(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		ctx, admin := t.Context(), f.client()
		id, session := f.join("max@acme.test", bridge.RoleMember)
		max := f.as(session)
		pat := f.as(f.key(max, api.CreateKeyRequest{Name: "laptop", Preset: "full"}).Key.Secret)
		if _, err := admin.ChangeRole(ctx, "acme", id, "viewer"); err != nil {
			t.Fatal(err)
		}
		_, err := pat.Register(ctx, api.RegisterRequest{ServerURL: "https://ace.test", APIKey: aceKey()})
		wantCode(t, "a viewer's token connects", err, "role_viewer")
		if _, err := max.CreateOrganization(ctx, api.NewOrganization{Slug: "maxs"}); err != nil {
			t.Fatal(err)
		}
		moved, err := max.SwitchSession(ctx, "maxs")
		if err != nil {
			t.Fatal(err)
		}
		max = f.as(moved.Token.Secret)
		if _, err := admin.RemoveMember(ctx, "acme", id); err != nil {
			t.Fatal(err)
		}
		_, err = pat.Me(ctx)
		wantCode(t, "the token of somebody who has left", err, "key_revoked")
		f.advance(time.Minute)
		back, err := admin.Invite(ctx, "acme", api.NewInvitation{})
		if err != nil {
			t.Fatal(err)
		}
		_, token, _ := strings.Cut(back.URL.Reveal(), "token=")
		if _, err := max.AcceptInvitation(ctx, api.AcceptInvitation{Token: bridge.NewSecret(token).Disclose()}); err != nil {
			t.Fatal(err)
		}
		_, err = pat.Me(ctx)
		wantCode(t, "the token of somebody who has left and come back", err, "key_revoked")
	})
}

var shownKey = regexp.MustCompile(`ace_(?:live|test|pat)_[0-9A-Za-z]{71}`)

func TestKeyPages(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cookie := f.signIn()
	post := func(path string, form url.Values) (int, string) {
		t.Helper()
		resp, body := f.do("POST", path, form.Encode(), "Content-Type", formType, "Cookie", cookie)
		return resp.StatusCode, body
	}
	status, body := post("/keys", url.Values{"name": {"ci"}, "kind": {"live"}, "preset": {"connect"}, "expires_in": {"30d"}})
	secret := shownKey.FindString(body)
	if status != http.StatusCreated || secret == "" {
		t.Fatalf("create: %d %s", status, body)
	}
	key, err := bridge.ParseKey(bridge.NewSecret(secret))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.as(key.Text()).Me(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, body := post("/keys", url.Values{"name": {"it's $(id)"}, "kind": {"live"}, "preset": {"connect"}, "expires_in": {"30d"}}); !strings.Contains(body, `--service-name &#39;it&#39;\&#39;&#39;s $(id)&#39;`) {
		t.Errorf("a name that a shell would act on:\n%s", body)
	}
	_, body = f.do("GET", "/keys", "", "Cookie", cookie)
	if strings.Contains(body, secret) || !strings.Contains(body, ">ci<") {
		t.Error("the list shows the secret, or not the key")
	}
	at := "/keys/" + key.ID.String()

	// The same form again is the same rotation.
	rotation := url.Values{"grace": {"1h"}, "rotation": {uuid.NewString()}}
	_, first := post(at+"/rotate", rotation)
	_, again := post(at+"/rotate", rotation)
	if second := shownKey.FindString(first); second == "" || second == secret || second != shownKey.FindString(again) {
		t.Errorf("the rotation shows %d and %d bytes of key", len(second), len(shownKey.FindString(again)))
	}
	if status, _ := post(at+"/disable", nil); status != http.StatusSeeOther {
		t.Errorf("disable: %d", status)
	}
	_, err = f.as(key.Text()).Me(t.Context())
	wantCode(t, "a disabled key", err, "key_disabled")
	if status, body := post(at+"/revoke", nil); status != http.StatusBadRequest || !strings.Contains(body, "sure") {
		t.Errorf("revoke without the box: %d", status)
	}
	if status, _ := post(at+"/revoke", url.Values{"sure": {"yes"}}); status != http.StatusSeeOther {
		t.Errorf("revoke: %d", status)
	}
	if status, body := post(at+"/revive", nil); status != http.StatusBadRequest || !strings.Contains(body, "sure") {
		t.Errorf("revive without the box: %d", status)
	}
	if status, body := post(at+"/revive", url.Values{"sure": {"yes"}}); status != http.StatusConflict || !strings.Contains(body, "for ever") {
		t.Errorf("revive a revoked key: %d", status)
	}
	if status, body := post("/keys", url.Values{"name": {"<b>"}, "scope": {"connection:raed"}}); status != http.StatusBadRequest ||
		!strings.Contains(body, "connection:read") || strings.Contains(body, "<b>") {
		t.Errorf("an unknown scope: %d %s", status, body)
	}
}
