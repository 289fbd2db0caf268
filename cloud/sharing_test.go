package cloud_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
)

// aceServer registers a shared connection to a server with an ace key.
func (f *fixture) aceServer(h http.HandlerFunc) (connection api.Connection, stop func()) {
	f.t.Helper()
	ts := httptest.NewServer(h)
	f.t.Cleanup(func() { ts.CloseClientConnections(); ts.Close() })
	connection, err := f.client().Register(f.t.Context(), api.RegisterRequest{ServerURL: ts.URL, APIKey: aceKey()})
	if err != nil {
		f.t.Fatal(err)
	}
	f.share(connection.ID, connections.Organization)
	return connection, ts.Close
}

func setCeiling(to *api.Ceiling) api.ConnectionPatch {
	return api.ConnectionPatch{Ceiling: api.CeilingPatch{Given: true, To: to}}
}

// A member whose rights shrink is cut off from open streams, and gets only the remaining rights with the next token.
func TestStreamsEndWithWhatAllowedThem(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		t.Cleanup(f.run())
		connection, _ := f.aceServer(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/stream") {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		admin, ctx := f.client(), t.Context()
		for name, c := range map[string]struct {
			change func(user string) error
			left   string // the code of the refusal, or the scopes of the next token
		}{
			"unshared": {func(string) error {
				_, err := admin.Patch(ctx, connection.ID, api.ConnectionPatch{Visibility: new(connections.Private)})
				return err
			}, "connection_unknown"},
			"ceiling": {func(string) error {
				_, err := admin.Patch(ctx, connection.ID, setCeiling(&api.Ceiling{Scopes: []string{"app:read"}}))
				return err
			}, "app:read"},
			"limited": {func(user string) error {
				_, err := admin.LimitMember(ctx, connection.ID, user, api.MemberLimit{Access: "limited", Ceiling: api.Ceiling{Scopes: []string{"app:write"}}})
				return err
			}, "app:write"},
			"excepted": {func(user string) error {
				_, err := admin.LimitMember(ctx, connection.ID, user, api.MemberLimit{Access: "none"})
				return err
			}, "connection_unknown"},
			"viewer": {func(user string) error { _, err := admin.ChangeRole(ctx, "acme", user, "viewer"); return err }, "*"},
		} {
			f.share(connection.ID, connections.Organization)
			if _, err := admin.Patch(ctx, connection.ID, setCeiling(nil)); err != nil {
				t.Fatal(err)
			}
			token := f.memberToken(name+"@acme.test", bridge.RoleMember)
			me, err := f.as(token).Me(ctx)
			if err != nil {
				t.Fatal(err)
			}
			r := f.request("GET", "/v1/connections/"+connection.ID+"/relay/stream", nil)
			r.Header.Set("Authorization", "Bearer "+token.Reveal())
			stream := f.send(r)
			if stream.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d", name, stream.StatusCode)
			}
			began := time.Now()
			if err := c.change(me.ID); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := io.ReadAll(stream.Body); err == nil {
				t.Errorf("%s: the stream ends as if it were whole", name)
			}
			if took := time.Since(began); took > 5*time.Second { // a quarter of a second; what cannot be looked at is cut after ten
				t.Errorf("%s: cut after %s", name, took)
			}
			got := ""
			if credential, err := f.as(token).Credential(ctx, connection.ID); err != nil {
				got = string(bridge.CodeOf(err))
			} else {
				got = scopeOf(t, credential)
			}
			if got != c.left {
				t.Errorf("%s: the next credential has %q, want %q", name, got, c.left)
			}
		}
	})
}

// scopeOf reads the scopes of an access token.
func scopeOf(t *testing.T, c api.Credential) string {
	t.Helper()
	_, rest, _ := strings.Cut(c.Value.Reveal(), ".")
	text, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Scope string }
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Scope
}

// A ceiling's preset has the scopes that the server gives it; single scopes are checked there if the server can be reached.
func TestCeilingsAreTheServers(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	var answer atomic.Pointer[string]
	good, err := json.Marshal(catalogue.Builtin().File())
	if err != nil {
		t.Fatal(err)
	}
	answer.Store(new(string(good)))
	connection, stop := f.aceServer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ace/v1/scopes" || !strings.HasPrefix(r.Header.Get("X-Api-Key"), "ey") {
			t.Errorf("the cloud asks for %s", r.URL.Path)
		}
		_, _ = io.WriteString(w, *answer.Load())
	})
	admin, ctx := f.client(), t.Context()
	member := f.member("max@acme.test", bridge.RoleMember)
	me, err := member.Me(ctx)
	if err != nil {
		t.Fatal(err)
	}
	set := func(to *api.Ceiling) (api.Connection, error) { return admin.Patch(ctx, connection.ID, setCeiling(to)) }
	got, err := set(&api.Ceiling{Preset: "read-only"})
	if err != nil || got.CeilingPreset != "read-only" || !slices.Equal(got.Ceiling, []string{"app:read"}) || got.Access != "full" {
		t.Fatalf("%+v %v", got, err)
	}
	if got, err := member.Connection(ctx, connection.ID); err != nil || got.Access != "limited" || !slices.Equal(got.Allowed, []string{"app:read"}) {
		t.Errorf("the member is told %+v (%v)", got, err)
	}
	sharing, err := admin.Sharing(ctx, connection.ID)
	if err != nil || !slices.Equal(sharing.Presets, []string{"app", "full", "read-only"}) || sharing.People != 1 {
		t.Errorf("%+v %v", sharing, err)
	}
	for _, c := range []struct {
		to     api.Ceiling
		code   bridge.Code
		detail string
	}{
		{api.Ceiling{Preset: "read-on"}, "preset_unknown", "did you mean read-only?"},
		{api.Ceiling{Scopes: []string{"app:raed"}}, "scope_unknown", "did you mean app:read?"},
		{api.Ceiling{Scopes: []string{"App"}}, "scope_malformed", ""},
		{api.Ceiling{Scopes: []string{"app:read"}, Preset: "app"}, "ceiling_malformed", ""},
		{api.Ceiling{}, "ceiling_malformed", ""},
	} {
		_, err := set(&c.to)
		if bridge.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.detail) {
			t.Errorf("%+v: %v, want %s %s", c.to, err, c.code, c.detail)
		}
		if _, err := admin.LimitMember(ctx, connection.ID, me.ID, api.MemberLimit{Access: "limited",
			Ceiling: c.to}); bridge.CodeOf(err) != c.code {
			t.Errorf("limited to %+v: %v", c.to, err)
		}
	}
	if m, err := admin.LimitMember(ctx, connection.ID, me.ID, api.MemberLimit{Access: "limited", Ceiling: api.Ceiling{Preset: "full"}}); err != nil ||
		m.Preset != "full" || !slices.Equal(m.Ceiling, []string{"*"}) || !slices.Equal(m.Allowed, []string{"app:read"}) {
		t.Errorf("%+v %v", m, err)
	}
	for name, text := range map[string]string{"no catalogue": `{"scopes":1}`, "another product's": "<html>", "endless": strings.Repeat(" ", catalogue.MaxFile+2),
		"empty": "", "hostile": `{"name":"x","scopes":{"a":"` + strings.Repeat("x", 600) + `"}}`} {
		answer.Store(&text)
		if _, err := set(&api.Ceiling{Preset: "app"}); bridge.CodeOf(err) != "catalogue_unreadable" || !strings.Contains(bridge.AsError(err).Hint, "--scope") {
			t.Errorf("%s: %v", name, err)
		}
	}
	stop()
	if _, err := set(&api.Ceiling{Preset: "app"}); bridge.CodeOf(err) != "catalogue_unreadable" || !strings.Contains(err.Error(),
		"nothing answers") {
		t.Errorf("gone: %v", err)
	}
	if got, err := set(&api.Ceiling{Scopes: []string{"anything:goes"}}); err != nil || !slices.Equal(got.Ceiling, []string{"anything:goes"}) || got.CeilingPreset != "" {
		t.Errorf("scopes while it is gone: %+v %v", got, err)
	}
	if _, err := member.ReadPresets(ctx, connection.ID); bridge.CodeOf(err) != "role_admin" {
		t.Errorf("a member has the cloud call the server: %v", err)
	}
	resp, body := f.do("PATCH", "/v1/connections/"+connection.ID, `{"ceiling":null}`, "Authorization", f.bearer(), "Content-Type", "application/json")
	if resp.StatusCode != 200 || !strings.Contains(body, `"ceiling":null`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	for _, bad := range []string{`{"ceiling":{"presets":["app"]}}`, `{"ceiling":"app"}`, `{"ceiling":[]}`, `{"ceiling":{"scopes":"a"}}`} {
		if resp, body := f.do("PATCH", "/v1/connections/"+connection.ID, bad, "Authorization", f.bearer(), "Content-Type", "application/json"); resp.StatusCode != 400 {
			t.Errorf("%s: %d %s", bad, resp.StatusCode, body)
		}
	}
}

// A limit may name a cloud API key; a personal access token has its person's limit.
func TestExceptionsForKeys(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	connection, _ := f.aceServer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	admin, ctx := f.client(), t.Context()
	member := f.member("max@acme.test", bridge.RoleMember)
	service := f.key(admin, api.CreateKeyRequest{Name: "ci", Preset: "connect"})
	theirs := f.key(member, api.CreateKeyRequest{Name: "max's", Preset: "connect"})
	token := f.key(member, api.CreateKeyRequest{Name: "max's", Kind: "pat"})
	code := func(k api.CreatedKey) bridge.Code {
		_, err := f.as(k.Key.Secret).Credential(ctx, connection.ID)
		return bridge.CodeOf(err)
	}
	if got := []string{string(code(service)), string(code(theirs)), string(code(token))}; !slices.Equal(got, []string{"", "", ""}) {
		t.Fatal(got)
	}
	if m, err := admin.LimitMember(ctx, connection.ID, service.KeyID, api.MemberLimit{Access: "none"}); err != nil || m.Email != "key:"+service.KeyID {
		t.Errorf("%+v %v", m, err)
	}
	_, err := admin.LimitMember(ctx, connection.ID, token.KeyID, api.MemberLimit{Access: "none"})
	wantCode(t, "a token", err, "limit_token")
	_, err = admin.LimitMember(ctx, connection.ID, "01a1fc30-3fc5-7603-bc83-1f1313f67ee9", api.MemberLimit{Access: "none"})
	wantCode(t, "nobody's ID", err, "member_unknown")
	me, err := member.Me(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = member.LimitMember(ctx, connection.ID, me.ID, api.MemberLimit{Access: "none"})
	wantCode(t, "a member", err, "role_admin")
	if _, err := admin.LimitMember(ctx, connection.ID, me.ID, api.MemberLimit{Access: "none"}); err != nil {
		t.Fatal(err)
	}
	const unknown = "connection_unknown"
	if got := []string{string(code(service)), string(code(theirs)), string(code(token))}; !slices.Equal(got, []string{unknown, unknown, unknown}) {
		t.Error(got)
	}
	for _, id := range []string{service.KeyID, me.ID} {
		if _, err := admin.UnlimitMember(ctx, connection.ID, id); err != nil {
			t.Error(err)
		}
	}
	if got := []string{string(code(service)), string(code(theirs)), string(code(token))}; !slices.Equal(got, []string{"", "", ""}) {
		t.Error(got)
	}
}
