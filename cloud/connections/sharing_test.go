package connections_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
)

// The owner has all scopes; everybody else has what the ceiling and their limit leave, and a key no more than its maker.
func TestCeilingsAndExceptions(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, admin := f.Person("owner@a.test", "acme", bridge.RoleMember), f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		max, eve := f.Person("max@a.test", "acme", bridge.RoleMember), f.Person("eve@a.test", "acme", bridge.RoleViewer)
		ci := f.Service(max, "connection:use", "connection:read")
		key, server := storetest.AceKey(), bridge.ServerURL("https://ace.a.test")
		c := f.Register(owner, string(server), key.Text().Reveal())
		if _, err := f.SQL.ExecContext(t.Context(), "UPDATE connections SET visibility = 'organization' WHERE id = $1", c.ID); err != nil {
			t.Fatal(err)
		}
		all := []accounts.Principal{owner, admin, max, eve, ci}
		check := func(stage string, want ...string) {
			t.Helper()
			for i, p := range all {
				if got := f.ScopesOf(p, c.ID, key, server); got != bridge.Code(want[i]) {
					t.Errorf("%s: %s gets %q, want %q", stage, p.Email, got, want[i])
				}
			}
		}
		limit := func(user accounts.Principal, l api.MemberLimit, code bridge.Code) {
			t.Helper()
			if err := f.Limit(admin, c.ID, user.UserID, l); bridge.CodeOf(err) != code {
				t.Errorf("%s %+v: %v, want %q", user.Email, l, err, code)
			}
		}
		check("no ceiling", "*", "*", "*", "*", "*")
		f.Patch(admin, c.ID, storetest.Ceiling("svc:wiki:write", "app:*"))
		check("a ceiling", "*", "app:* svc:wiki:write", "app:* svc:wiki:write", "app:* svc:wiki:write", "app:* svc:wiki:write")
		limit(max, storetest.Limited("svc:*:read", "svc:wiki:read", "*:read", "key:list"), "")
		check("less", "*", "app:* svc:wiki:write", "svc:wiki:read", "app:* svc:wiki:write", "svc:wiki:read")
		limit(eve, storetest.Nothing(), "")
		limit(max, storetest.Limited("*"), "") // which does not widen
		check("none", "*", "app:* svc:wiki:write", "app:* svc:wiki:write", "connection_unknown", "app:* svc:wiki:write")
		limit(ci, storetest.Limited("app:read"), "")
		limit(admin, storetest.Nothing(), "")
		check("a key, and an admin", "*", "connection_excepted", "app:* svc:wiki:write", "connection_unknown", "app:read")
		limit(max, storetest.Nothing(), "")
		check("a key of somebody who gets nothing", "*", "connection_excepted", "connection_unknown", "connection_unknown", "connection_unknown")
		limit(owner, storetest.Nothing(), "owner_unlimited")
		limit(max, storetest.Limited("key:list"), "limit_empty")
		limit(max, storetest.Limited(), "ceiling_malformed")
		limit(max, storetest.Limited("Not a scope"), "scope_malformed")
		limit(max, storetest.Limited(strings.Repeat("a:", 7)+strings.Repeat("b", 100), "x"), "limit_empty")
		limit(max, api.MemberLimit{Access: "full"}, "limit_malformed")
		limit(max, api.MemberLimit{Access: "none", Ceiling: api.Ceiling{Scopes: []string{"a"}}}, "limit_malformed")
		for _, p := range []accounts.Principal{admin, max, ci} {
			if _, err := f.Connections.UnlimitMember(t.Context(), admin.As(admin.Actor("", "")), c.ID, connections.LimitSubject{ID: p.UserID}); err != nil {
				t.Error(err)
			}
		}
		limit(max, storetest.Limited("svc:wiki:read"), "")
		f.Patch(admin, c.ID, storetest.Ceiling("app:read"))
		check("nothing in common", "*", "app:read", "scope_empty", "connection_unknown", "scope_empty")
		f.Patch(admin, c.ID, storetest.Ceiling())
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
		admin, max := f.Person("ann@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		rival := f.Person("rival@b.test", "rival", bridge.RoleOwner)
		c := f.Shared(admin, "https://ace.a.test", storetest.AceKey().Text())
		own := f.Register(max, "https://own.a.test", storetest.AceKey().Text().Reveal())
		for name, code := range map[string]string{
			"ceiling": string(bridge.CodeOf(storetest.Second(f.Connections.Patch(t.Context(), max.As(audit.Actor{}), own.ID,
				storetest.Ceiling("app:read"))))), "limit": string(bridge.CodeOf(f.Limit(max, own.ID, admin.UserID, storetest.Nothing()))),
			"their own limit": string(bridge.CodeOf(storetest.Second(f.Connections.UnlimitMember(t.Context(), max.As(audit.Actor{}), c.ID,
				connections.LimitSubject{ID: max.UserID})))),
		} {
			if code != "share_admin" {
				t.Errorf("a member sets the %s: %q", name, code)
			}
		}
		if err := f.Limit(rival, c.ID, max.UserID, storetest.Nothing()); bridge.CodeOf(err) != "connection_unknown" {
			t.Errorf("another organization: %v", err)
		}
		for _, id := range []string{rival.UserID, "nobody", ""} {
			_, err := f.Connections.LimitMember(t.Context(), admin.As(audit.Actor{}), c.ID, connections.LimitSubject{ID: id}, storetest.Nothing())
			if bridge.CodeOf(err) != "member_unknown" {
				t.Errorf("%q is limited: %v", id, err)
			}
		}
		private := f.Register(admin, "https://private.a.test", storetest.AceKey().Text().Reveal())
		boss := f.Person("boss@a.test", "acme", bridge.RoleOwner)
		if code := f.ChangeRole(boss, admin, "member"); code != "" {
			t.Fatal(code)
		}
		for what, err := range map[string]error{
			"limits":   f.Limit(admin, c.ID, max.UserID, storetest.Nothing()),
			"shares":   storetest.Second(f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), private.ID, api.ConnectionPatch{Visibility: new(connections.Organization)})),
			"unshares": storetest.Second(f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), c.ID, api.ConnectionPatch{Visibility: new(connections.Private)})),
			"caps":     storetest.Second(f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), c.ID, storetest.Ceiling("app:read"))),
			"uncaps":   storetest.Second(f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), c.ID, storetest.Ceiling())),
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

// A limit of none is reported as a loss to those who saw the connection; it reveals nothing about a private one.
func TestExceptionsTellNobodyOfPrivateConnections(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, max := f.Person("ann@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		who := []accounts.Principal{admin, max, f.Person("eve@a.test", "acme", bridge.RoleMember)}
		shared, private := f.Shared(admin, "https://ace.a.test", storetest.AceKey().Text()), f.Register(admin, "https://private.a.test", storetest.AceKey().Text().Reveal())
		for _, c := range []struct {
			id   string
			want string
		}{{shared.ID, "ann@a.test max@a.test:lost eve@a.test"}, {private.ID, "ann@a.test"}} {
			since, _, err := f.Feed.Position(t.Context(), admin, f.Clock())
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Limit(admin, c.id, max.UserID, storetest.Nothing()); err != nil {
				t.Fatal(err)
			}
			changes, _, err := f.Feed.Changes(t.Context(), admin.OrgID, since, since+1, who)
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

// A plain key's server does not enforce scopes, so the only limit over it is none.
func TestPlainKeysHaveNoCeiling(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, max := f.Person("ann@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		c := f.Shared(admin, "https://plain.a.test", bridge.NewSecret("a-plain-key"))
		if _, err := f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), c.ID,
			storetest.Ceiling("app:read")); bridge.CodeOf(err) != "ceiling_plain" {
			t.Errorf("a ceiling: %v", err)
		}
		if err := f.Limit(admin, c.ID, max.UserID, storetest.Limited("app:read")); bridge.CodeOf(err) != "ceiling_plain" {
			t.Errorf("a limit: %v", err)
		}
		f.Relay(max, c.ID)
		if err := f.Limit(admin, c.ID, max.UserID, storetest.Nothing()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Tokens.Relay(t.Context(), max.As(audit.Actor{}), c.ID); bridge.CodeOf(err) != "connection_unknown" {
			t.Errorf("excepted: %v", err)
		}
		// If a plain key replaces an ace key that had a ceiling, only the owner can use it.
		ace := f.Shared(admin, "https://ace.a.test", storetest.AceKey().Text())
		f.Patch(admin, ace.ID, storetest.Ceiling("app:read"))
		f.Register(admin, "https://ace.a.test", "a-plain-key")
		f.LimitOff(admin, ace.ID, max.UserID)
		if _, err := f.Tokens.Relay(t.Context(), max.As(audit.Actor{}), ace.ID); bridge.CodeOf(err) != "ceiling_plain" {
			t.Errorf("a plain key under a ceiling: %v", err)
		}
		f.Relay(admin, ace.ID)
		f.Patch(admin, ace.ID, api.ConnectionPatch{ServerURL: new("https://moved.a.test")})
		if _, err := f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), ace.ID, storetest.Ceiling("app:read",
			"x")); bridge.CodeOf(err) != "credential_erased" {
			t.Errorf("a ceiling without a key: %v", err)
		}
		if _, err := f.Tokens.Relay(t.Context(), max.As(audit.Actor{}), ace.ID); bridge.CodeOf(err) != "credential_erased" {
			t.Errorf("without a key: %v", err)
		}
		f.Patch(admin, ace.ID, storetest.Ceiling())
	})
}

// A limit outlives the membership, so a member who comes back has no more than before. It ends with the connection.
func TestExceptionsOfThoseWhoLeft(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, max := f.Person("ann@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		c := f.Shared(admin, "https://ace.a.test", storetest.AceKey().Text())
		service := f.Service(max, "connection:use", "connection:read")
		if err := f.Limit(admin, c.ID, max.UserID, storetest.Nothing()); err != nil {
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
		_, link, _ := f.Invite(admin, api.NewInvitation{Role: "member"})
		if _, err := f.Joining.Accept(t.Context(), max.As(audit.Actor{}), link); err != nil {
			t.Fatal(err)
		}
		again := max
		if _, err := f.Tokens.Credential(t.Context(), again, c.ID); bridge.CodeOf(err) != "connection_unknown" {
			t.Errorf("come back: %v", err)
		}
		f.LimitOff(admin, c.ID, max.UserID)
		if _, err := f.Tokens.Credential(t.Context(), again, c.ID); err != nil {
			t.Errorf("let in again: %v", err)
		}
		if err := f.Limit(admin, c.ID, max.UserID, storetest.Nothing()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Connections.Delete(t.Context(), admin.As(audit.Actor{}), c.ID); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := f.SQL.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM connection_limits").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d exceptions are left of a connection that is gone (%v)", left, err)
		}
	})
}

func TestSharingIsAudited(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, max := f.Person("ann@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		c := f.Register(admin, "https://ace.a.test", storetest.AceKey().Text().Reveal())
		both := storetest.Ceiling("app:read", "app:write")
		both.Visibility, both.Ceiling.To.Preset = new(connections.Organization), "app"
		f.Patch(admin, c.ID, both)
		f.Patch(admin, c.ID, both) // changes nothing
		for range 2 {
			if err := f.Limit(admin, c.ID, max.UserID, storetest.Limited("app:read")); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Limit(admin, c.ID, max.UserID, storetest.Nothing()); err != nil {
			t.Fatal(err)
		}
		f.LimitOff(admin, c.ID, max.UserID)
		f.LimitOff(admin, c.ID, max.UserID)
		f.Patch(admin, c.ID, storetest.Ceiling())
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
		admin := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		c := f.Shared(admin, "https://ace.a.test", storetest.AceKey().Text())
		f.Patch(admin, c.ID, storetest.Ceiling("app:*"))
		var people []accounts.Principal
		for _, name := range []string{"bob", "cid", "dan"} {
			people = append(people, f.Person(name+"@a.test", "acme", bridge.RoleMember))
		}
		service := f.Service(admin, "connection:use", "connection:read")
		for user, l := range map[string]api.MemberLimit{people[0].UserID: storetest.Nothing(), people[1].UserID: storetest.Limited("app:read"), service.UserID: storetest.Limited("app:write")} {
			if err := f.Limit(admin, c.ID, user, l); err != nil {
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
