package registry_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
)

// shared registers a connection with a key and shares it.
func (f *fixture) shared(p accounts.Principal, server string, key bridge.Secret) api.Connection {
	f.t.Helper()
	c := f.register(p, server, key.Reveal())
	f.patch(p, c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)})
	return c
}

func (f *fixture) patch(p accounts.Principal, id string, patch api.ConnectionPatch) {
	f.t.Helper()
	if _, err := f.Connections.Patch(f.t.Context(), p.As(p.Actor("", "")), id, patch); err != nil {
		f.t.Fatal(err)
	}
}

// ceiling is a patch that sets scopes, or lifts the ceiling where there are none.
func ceiling(scopes ...string) api.ConnectionPatch {
	if len(scopes) == 0 {
		return api.ConnectionPatch{Ceiling: api.CeilingPatch{Given: true}}
	}
	return api.ConnectionPatch{Ceiling: api.CeilingPatch{Given: true, To: &api.Ceiling{Scopes: scopes}}}
}

func limited(scopes ...string) api.MemberLimit {
	return api.MemberLimit{Access: connections.AccessLimited, Ceiling: api.Ceiling{Scopes: scopes}}
}

func nothing() api.MemberLimit { return api.MemberLimit{Access: connections.AccessNone} }

func (f *fixture) limit(by accounts.Principal, id, user string, l api.MemberLimit) error {
	f.t.Helper()
	_, err := f.Connections.LimitMember(f.t.Context(), by.As(by.Actor("", "")), id, connections.Exceptee{ID: user, Key: true}, l)
	return err
}

// service is an API key of the cloud as a principal.
func (f *fixture) service(owner accounts.Principal, scopes ...bridge.Scope) accounts.Principal {
	f.t.Helper()
	p, err := f.Accounts.KeyPrincipal(f.t.Context(), bridge.Identity{Type: bridge.TypeAPIKey, KeyID: uuid.New(), Kind: bridge.KindLive,
		Subject: owner.Email, Org: owner.Org, Scopes: scopes}, accounts.KeyFacts{Name: "ci"})
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// scopesOf are the scopes of the access token that somebody gets, or the code of the refusal.
func (f *fixture) scopesOf(p accounts.Principal, id string, key bridge.Key, server bridge.ServerURL) bridge.Code {
	f.t.Helper()
	credential, err := f.Tokens.Credential(f.t.Context(), p, id)
	g, relayErr := f.Tokens.Relay(f.t.Context(), p.As(p.Actor("", "")), id)
	if bridge.CodeOf(err) != bridge.CodeOf(relayErr) {
		f.t.Errorf("the relay says %v, the credential %v", relayErr, err)
	}
	if err != nil {
		return bridge.CodeOf(err)
	}
	var out []string
	for _, c := range []api.Credential{credential, g.Credential} {
		claims, err := bridge.VerifyAccess(c.Value.Secret, key.PublicKey(), []bridge.ServerURL{server}, f.clock())
		if err != nil || claims.Subject != p.Email || claims.Connection != id {
			f.t.Fatalf("%+v %v", claims, err)
		}
		out = append(out, claims.Scope)
	}
	if out[0] != out[1] {
		f.t.Errorf("the relay's token has %q, the other %q", out[1], out[0])
	}
	return bridge.Code(out[0])
}

// Who gets which scopes: the owner all, everybody else what ceiling and exception leave, a key no more than who made it.
func TestCeilingsAndExceptions(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, admin := f.person("owner@a.test", "acme", bridge.RoleMember), f.person("ann@a.test", "acme", bridge.RoleAdmin)
		max, eve := f.person("max@a.test", "acme", bridge.RoleMember), f.person("eve@a.test", "acme", bridge.RoleViewer)
		ci := f.service(max, "connection:use", "connection:read")
		key, server := aceKey(), bridge.ServerURL("https://ace.a.test")
		c := f.register(owner, string(server), key.Text().Reveal())
		if _, err := f.db.ExecContext(t.Context(), "UPDATE connections SET visibility = 'organization' WHERE id = $1", c.ID); err != nil {
			t.Fatal(err)
		}
		all := []accounts.Principal{owner, admin, max, eve, ci}
		check := func(stage string, want ...string) {
			t.Helper()
			for i, p := range all {
				if got := f.scopesOf(p, c.ID, key, server); got != bridge.Code(want[i]) {
					t.Errorf("%s: %s gets %q, want %q", stage, p.Email, got, want[i])
				}
			}
		}
		limit := func(user accounts.Principal, l api.MemberLimit, code bridge.Code) {
			t.Helper()
			if err := f.limit(admin, c.ID, user.UserID, l); bridge.CodeOf(err) != code {
				t.Errorf("%s %+v: %v, want %q", user.Email, l, err, code)
			}
		}
		check("no ceiling", "*", "*", "*", "*", "*")
		f.patch(admin, c.ID, ceiling("svc:wiki:write", "app:*"))
		check("a ceiling", "*", "app:* svc:wiki:write", "app:* svc:wiki:write", "app:* svc:wiki:write", "app:* svc:wiki:write")
		limit(max, limited("svc:*:read", "svc:wiki:read", "*:read", "key:list"), "")
		check("less", "*", "app:* svc:wiki:write", "svc:wiki:read", "app:* svc:wiki:write", "svc:wiki:read")
		limit(eve, nothing(), "")
		limit(max, limited("*"), "") // which does not widen
		check("none", "*", "app:* svc:wiki:write", "app:* svc:wiki:write", "connection_unknown", "app:* svc:wiki:write")
		limit(ci, limited("app:read"), "")
		limit(admin, nothing(), "")
		check("a key, and an admin", "*", "connection_excepted", "app:* svc:wiki:write", "connection_unknown", "app:read")
		limit(max, nothing(), "")
		check("a key of somebody who gets nothing", "*", "connection_excepted", "connection_unknown", "connection_unknown", "connection_unknown")
		limit(owner, nothing(), "owner_unlimited")
		limit(max, limited("key:list"), "limit_empty")
		limit(max, limited(), "ceiling_malformed")
		limit(max, limited("Not a scope"), "scope_malformed")
		limit(max, limited(strings.Repeat("a:", 7)+strings.Repeat("b", 100), "x"), "limit_empty")
		limit(max, api.MemberLimit{Access: "full"}, "limit_malformed")
		limit(max, api.MemberLimit{Access: "none", Ceiling: api.Ceiling{Scopes: []string{"a"}}}, "limit_malformed")
		for _, p := range []accounts.Principal{admin, max, ci} {
			if _, err := f.Connections.UnlimitMember(t.Context(), admin.As(admin.Actor("", "")), c.ID, connections.Exceptee{ID: p.UserID}); err != nil {
				t.Error(err)
			}
		}
		limit(max, limited("svc:wiki:read"), "")
		f.patch(admin, c.ID, ceiling("app:read"))
		check("nothing in common", "*", "app:read", "scope_empty", "connection_unknown", "scope_empty")
		f.patch(admin, c.ID, ceiling())
		check("lifted", "*", "*", "svc:wiki:read", "connection_unknown", "svc:wiki:read")
		if got, err := f.Connections.Connection(t.Context(), max, c.ID); err != nil || got.Access != "limited" || !slices.Equal(got.Allowed, []string{"svc:wiki:read"}) || got.Ceiling != nil {
			t.Errorf("max is told %q %v, ceiling %v (%v)", got.Access, got.Allowed, got.Ceiling, err)
		}
		if list, _, err := f.Connections.Connections(t.Context(), eve, "", 0); err != nil || len(list) != 0 {
			t.Errorf("eve sees %v (%v)", list, err)
		}
	})
}

func TestOnlyAdminsLimit(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, max := f.person("ann@a.test", "acme", bridge.RoleAdmin), f.person("max@a.test", "acme", bridge.RoleMember)
		rival := f.person("rival@b.test", "rival", bridge.RoleOwner)
		c := f.shared(admin, "https://ace.a.test", aceKey().Text())
		own := f.register(max, "https://own.a.test", aceKey().Text().Reveal())
		for name, code := range map[string]string{
			"ceiling": string(bridge.CodeOf(second(f.Connections.Patch(t.Context(), max.As(audit.Actor{}), own.ID,
				ceiling("app:read"))))), "limit": string(bridge.CodeOf(f.limit(max, own.ID, admin.UserID, nothing()))),
			"their own limit": string(bridge.CodeOf(second(f.Connections.UnlimitMember(t.Context(), max.As(audit.Actor{}), c.ID,
				connections.Exceptee{ID: max.UserID})))),
		} {
			if code != "share_admin" {
				t.Errorf("a member sets the %s: %q", name, code)
			}
		}
		if err := f.limit(rival, c.ID, max.UserID, nothing()); bridge.CodeOf(err) != "connection_unknown" {
			t.Errorf("another organization: %v", err)
		}
		for _, id := range []string{rival.UserID, "nobody", ""} {
			_, err := f.Connections.LimitMember(t.Context(), admin.As(audit.Actor{}), c.ID, connections.Exceptee{ID: id}, nothing())
			if bridge.CodeOf(err) != "member_unknown" {
				t.Errorf("%q is limited: %v", id, err)
			}
		}
		private := f.register(admin, "https://private.a.test", aceKey().Text().Reveal())
		boss := f.person("boss@a.test", "acme", bridge.RoleOwner)
		if code := f.role(boss, admin, "member"); code != "" {
			t.Fatal(code)
		}
		for what, err := range map[string]error{
			"limits":   f.limit(admin, c.ID, max.UserID, nothing()),
			"shares":   second(f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), private.ID, api.ConnectionPatch{Visibility: new(connections.Organization)})),
			"unshares": second(f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), c.ID, api.ConnectionPatch{Visibility: new(connections.Private)})),
			"caps":     second(f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), c.ID, ceiling("app:read"))),
			"uncaps":   second(f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), c.ID, ceiling())),
		} {
			if bridge.CodeOf(err) != "share_admin" {
				t.Errorf("%s by the role of before: %v", what, err)
			}
		}
		if _, err := f.Accounts.RemoveMember(t.Context(), boss.As(audit.Actor{}), "acme", admin.UserID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), private.ID,
			api.ConnectionPatch{Name: new("mine")}); bridge.CodeOf(err) != "not_a_member" {
			t.Errorf("by a membership of before: %v", err)
		}
	})
}

// An exception is told as a loss to those who saw the connection; of a private one nobody learns anything by it.
func TestExceptionsTellNobodyOfPrivateConnections(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, max := f.person("ann@a.test", "acme", bridge.RoleAdmin), f.person("max@a.test", "acme", bridge.RoleMember)
		who := []accounts.Principal{admin, max, f.person("eve@a.test", "acme", bridge.RoleMember)}
		shared, private := f.shared(admin, "https://ace.a.test", aceKey().Text()), f.register(admin, "https://private.a.test", aceKey().Text().Reveal())
		for _, c := range []struct {
			id   string
			want string
		}{{shared.ID, "ann@a.test max@a.test:lost eve@a.test"}, {private.ID, "ann@a.test"}} {
			since, _, err := f.Connections.Position(t.Context(), admin, f.clock())
			if err != nil {
				t.Fatal(err)
			}
			if err := f.limit(admin, c.id, max.UserID, nothing()); err != nil {
				t.Fatal(err)
			}
			changes, _, err := f.Connections.Changes(t.Context(), admin.OrgID, since, since+1, who)
			if err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(changes, func(a, b connections.Change) int { return a.Who - b.Who })
			var told []string
			for _, change := range changes {
				told = append(told, who[change.Who].Email+map[bool]string{true: ":lost"}[change.Lost])
			}
			if got := strings.Join(told, " "); got != c.want {
				t.Errorf("told: %q, want %q", got, c.want)
			}
		}
	})
}

// A plain key's server would keep to no scopes; none is the one exception there is.
func TestPlainKeysHaveNoCeiling(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, max := f.person("ann@a.test", "acme", bridge.RoleAdmin), f.person("max@a.test", "acme", bridge.RoleMember)
		c := f.shared(admin, "https://plain.a.test", bridge.NewSecret("a-plain-key"))
		if _, err := f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), c.ID,
			ceiling("app:read")); bridge.CodeOf(err) != "ceiling_plain" {
			t.Errorf("a ceiling: %v", err)
		}
		if err := f.limit(admin, c.ID, max.UserID, limited("app:read")); bridge.CodeOf(err) != "ceiling_plain" {
			t.Errorf("a limit: %v", err)
		}
		f.relay(max, c.ID)
		if err := f.limit(admin, c.ID, max.UserID, nothing()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Tokens.Relay(t.Context(), max.As(audit.Actor{}), c.ID); bridge.CodeOf(err) != "connection_unknown" {
			t.Errorf("excepted: %v", err)
		}
		// A ceiling that was set while there was an ace key makes the plain one that follows nobody's but the owner's.
		ace := f.shared(admin, "https://ace.a.test", aceKey().Text())
		f.patch(admin, ace.ID, ceiling("app:read"))
		f.register(admin, "https://ace.a.test", "a-plain-key")
		f.limitOff(admin, ace.ID, max.UserID)
		if _, err := f.Tokens.Relay(t.Context(), max.As(audit.Actor{}), ace.ID); bridge.CodeOf(err) != "ceiling_plain" {
			t.Errorf("a plain key under a ceiling: %v", err)
		}
		f.relay(admin, ace.ID)
		f.patch(admin, ace.ID, api.ConnectionPatch{ServerURL: new("https://moved.a.test")})
		if _, err := f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), ace.ID, ceiling("app:read",
			"x")); bridge.CodeOf(err) != "credential_erased" {
			t.Errorf("a ceiling without a key: %v", err)
		}
		if _, err := f.Tokens.Relay(t.Context(), max.As(audit.Actor{}), ace.ID); bridge.CodeOf(err) != "credential_erased" {
			t.Errorf("without a key: %v", err)
		}
		f.patch(admin, ace.ID, ceiling())
	})
}

func (f *fixture) limitOff(by accounts.Principal, id, user string) {
	f.t.Helper()
	if _, err := f.Connections.UnlimitMember(f.t.Context(), by.As(by.Actor("", "")), id, connections.Exceptee{ID: user}); err != nil {
		f.t.Fatal(err)
	}
}

// An exception outlives the membership: whoever comes back has no more than before. It dies with the connection.
func TestExceptionsOfThoseWhoLeft(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, max := f.person("ann@a.test", "acme", bridge.RoleAdmin), f.person("max@a.test", "acme", bridge.RoleMember)
		c := f.shared(admin, "https://ace.a.test", aceKey().Text())
		service := f.service(max, "connection:use", "connection:read")
		if err := f.limit(admin, c.ID, max.UserID, nothing()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Accounts.RemoveMember(t.Context(), admin.As(audit.Actor{}), "acme", max.UserID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Tokens.Credential(t.Context(), service, c.ID); bridge.CodeOf(err) != "connection_unknown" {
			t.Errorf("a key that a former member has left: %v", err)
		}
		sharing, err := f.Connections.Sharing(t.Context(), admin, c.ID, "", 0)
		if err != nil || len(sharing.Members) != 2 || sharing.Members[1].Email != "max@a.test" || sharing.Members[1].Role != "" || sharing.Members[1].Access != "none" {
			t.Errorf("%+v (%v)", sharing, err)
		}
		_, link, _ := f.invite(admin, api.NewInvitation{Role: "member"})
		if _, err := f.Joining.Accept(t.Context(), max.As(audit.Actor{}), link); err != nil {
			t.Fatal(err)
		}
		again := max
		if _, err := f.Tokens.Credential(t.Context(), again, c.ID); bridge.CodeOf(err) != "connection_unknown" {
			t.Errorf("come back: %v", err)
		}
		f.limitOff(admin, c.ID, max.UserID)
		if _, err := f.Tokens.Credential(t.Context(), again, c.ID); err != nil {
			t.Errorf("let in again: %v", err)
		}
		if err := f.limit(admin, c.ID, max.UserID, nothing()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Connections.Delete(t.Context(), admin.As(audit.Actor{}), c.ID); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := f.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM connection_limits").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d exceptions are left of a connection that is gone (%v)", left, err)
		}
	})
}

func TestSharingIsAudited(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, max := f.person("ann@a.test", "acme", bridge.RoleAdmin), f.person("max@a.test", "acme", bridge.RoleMember)
		c := f.register(admin, "https://ace.a.test", aceKey().Text().Reveal())
		both := ceiling("app:read", "app:write")
		both.Visibility, both.Ceiling.To.Preset = new(connections.Organization), "app"
		f.patch(admin, c.ID, both)
		f.patch(admin, c.ID, both) // changes nothing
		for range 2 {
			if err := f.limit(admin, c.ID, max.UserID, limited("app:read")); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.limit(admin, c.ID, max.UserID, nothing()); err != nil {
			t.Fatal(err)
		}
		f.limitOff(admin, c.ID, max.UserID)
		f.limitOff(admin, c.ID, max.UserID)
		f.patch(admin, c.ID, ceiling())
		entries, _, err := f.Accounts.Audit(t.Context(), admin, audit.Query{Target: "connection:" + c.ID})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range slices.Backward(entries) {
			got = append(got, strings.TrimSpace(e.Action+" "+e.Details["member"]+" "+e.Details["before"]+" → "+e.Details["after"]))
		}
		want := []string{"connection.register   →", "connection.ceiling  none → preset app: app:read app:write", "connection.share   →",
			"connection.member_limit max@a.test full → limited to app:read", "connection.member_limit max@a.test limited to app:read → none",
			"connection.member_unlimit max@a.test none → full", "connection.ceiling  preset app: app:read app:write → none"}
		if !slices.Equal(got, want) {
			t.Errorf("audited:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestSharingList(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin := f.person("ann@a.test", "acme", bridge.RoleAdmin)
		c := f.shared(admin, "https://ace.a.test", aceKey().Text())
		f.patch(admin, c.ID, ceiling("app:*"))
		var people []accounts.Principal
		for _, name := range []string{"bob", "cid", "dan"} {
			people = append(people, f.person(name+"@a.test", "acme", bridge.RoleMember))
		}
		service := f.service(admin, "connection:use", "connection:read")
		for user, l := range map[string]api.MemberLimit{people[0].UserID: nothing(), people[1].UserID: limited("app:read"), service.UserID: limited("app:write")} {
			if err := f.limit(admin, c.ID, user, l); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		cursor := ""
		for {
			s, err := f.Connections.Sharing(t.Context(), admin, c.ID, cursor, 2)
			if err != nil || s.People != 2 || !slices.Equal(s.Ceiling, []string{"app:*"}) {
				t.Fatalf("%+v (%v)", s, err)
			}
			for _, m := range s.Members {
				got = append(got, strings.TrimSpace(strings.Join([]string{m.Email, m.Role, m.Access, strings.Join(m.Allowed, ",")}, " ")))
			}
			if cursor = s.NextCursor; cursor == "" {
				break
			}
		}
		want := []string{"ann@a.test admin full", "bob@a.test member none", "cid@a.test member limited app:read", "dan@a.test member full app:*",
			service.Email + "  limited app:write"}
		if !slices.Equal(got, want) {
			t.Errorf("%q\nwant %q", got, want)
		}
		for _, p := range []accounts.Principal{people[1], service} {
			s, err := f.Connections.Sharing(t.Context(), p, c.ID, "", 0)
			if err != nil || len(s.Members) != 1 || s.Members[0].Email != p.Email || s.People != 0 || s.Presets != nil {
				t.Errorf("%s is shown %+v (%v)", p.Email, s, err)
			}
		}
		if _, err := f.Connections.Sharing(t.Context(), people[0], c.ID, "", 0); bridge.CodeOf(err) != "connection_unknown" {
			t.Errorf("who gets nothing: %v", err)
		}
	})
}
