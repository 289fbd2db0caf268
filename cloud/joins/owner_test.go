package joins_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/cloud/tokens"
)

// The organization owns connections, and is nobody: it cannot sign in, get mail, be invited, be moved to an address, or be counted.
func TestOrganizationIsNobody(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		// Before there is anybody, a server joins with the operator's token; the first person still comes in.
		if err := f.DB.Tx(ctx, func(tx *sql.Tx) error { _, err := accounts.EnsureOrg(ctx, tx, "acme", f.Clock()); return err }); err != nil {
			t.Fatal(err)
		}
		operators, err := f.Joins.CreateTokenAsOperator(ctx, "acme", audit.Actor{ID: "operator"}, api.JoinTokenRequest{})
		if err != nil {
			t.Fatal(err)
		}
		s := f.NewJoiner()
		c := s.Join(operators.Token.Secret)
		if fresh, err := f.SignUp.Fresh(ctx); err != nil || !fresh {
			t.Errorf("a cloud with a server and no person is not fresh (%v)", err)
		}
		owner, member := f.Person("olga@a.test", "acme", bridge.RoleOwner), f.Person("bob@a.test", "acme", bridge.RoleMember)
		f.Mailed()
		for _, name := range []string{"org:acme", "ORG:acme", " org:acme", c.Owner} {
			if _, err := f.Accounts.UserByEmail(ctx, name); bridge.CodeOf(err) != bridge.CodeUserUnknown {
				t.Errorf("%q is a person: %v", name, err)
			}
			for _, password := range []string{"", "x"} {
				if err := f.Try(name, password, bridge.Secret{}, "192.0.2.1"); err == nil {
					t.Errorf("%q signs in", name)
				}
			}
			_ = f.Links.RequestReset(ctx, name, audit.Actor{})
			if _, err := f.Addresses.Set(ctx, name, "eve@a.test", audit.Actor{ID: "operator"}); bridge.CodeOf(err) != bridge.CodeUserUnknown {
				t.Errorf("%q gets an address: %v", name, err)
			}
			if _, err := f.Accounts.Invite(ctx, owner.As(owner.Actor("", "")), "acme", api.NewInvitation{Email: name, Role: "admin"}); bridge.CodeOf(err) != bridge.CodeEmailMalformed {
				t.Errorf("%q is invited: %v", name, err)
			}
		}
		if _, err := f.Sessions.OpenSession(ctx, owner.OrgID, "acme", accounts.MethodBrowser, audit.Actor{}); err == nil {
			t.Error("the organization opens a session")
		}
		if due := f.Mailed(); len(due) != 0 {
			t.Errorf("it is mailed to: %+v", due)
		}
		if members, _, err := f.Accounts.Members(ctx, owner, "acme", "", 0); err != nil || len(members) != 2 {
			t.Errorf("members: %+v %v", members, err)
		}
		if n, err := f.Connections.Users(ctx, owner, c.ID); err != nil || n != 0 {
			t.Errorf("%d would lose a private connection that is nobody's (%v)", n, err)
		}
		if _, err := f.Connections.Patch(ctx, owner.As(owner.Actor("", "")), c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
			t.Fatal(err)
		}
		if n, err := f.Connections.Users(ctx, owner, c.ID); err != nil || n != 2 {
			t.Errorf("%d would lose it, shared (%v)", n, err)
		}
		sharing, err := f.Connections.Sharing(ctx, owner, c.ID, "", 0)
		if err != nil || len(sharing.Members) != 2 || sharing.People != 2 || sharing.Members[0].Owner || sharing.Members[1].Owner {
			t.Errorf("sharing: %+v %v", sharing, err)
		}
		if _, err := f.Connections.LimitMember(ctx, owner.As(owner.Actor("", "")), c.ID, connections.LimitSubject{ID: owner.OrgID}, api.MemberLimit{Access: connections.AccessNone}); bridge.CodeOf(err) != bridge.CodeOwnerUnlimited {
			t.Errorf("the organization is limited: %v", err)
		}
		if _, err := f.Connections.LimitMember(ctx, owner.As(owner.Actor("", "")), c.ID, connections.LimitSubject{ID: member.UserID}, api.MemberLimit{Access: connections.AccessNone}); err != nil {
			t.Error(err)
		}
		if _, err := f.Connections.Connection(ctx, member, c.ID); bridge.CodeOf(err) != bridge.CodeConnectionUnknown {
			t.Errorf("a member with a limit of none: %v", err)
		}
	})
}

// What is taken away over the organization's connection is withdrawn once, also from somebody who manages connections and asked with
// a token that does not, and after a restore.
func TestWithdrawnOnce(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		a := f.NewAuthority()
		owner, admin := f.Person("olga@a.test", "acme", bridge.RoleOwner), f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		s := f.NewJoiner()
		c := s.Join(f.JoinToken(admin, api.JoinTokenRequest{Share: true}).Token.Secret)
		pat := f.key(a, admin, bridge.KindPAT, "connection:use")
		settled := func(when string) {
			t.Helper()
			for i := range 4 {
				lost, err := f.Tokens.LostTokens(ctx, tokens.Look{Alive: func(uuid.UUID) bool { return true }, Everybody: true})
				if err != nil || len(lost) == 0 {
					if err != nil {
						t.Error(err)
					}
					return
				}
				for _, l := range lost {
					w, ok, err := f.Tokens.WithdrawTokens(ctx, l)
					if err == nil && ok {
						err = f.Tokens.Withdrawn(ctx, w)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if f.Advance(time.Hour); i == 3 {
					t.Errorf("%s: it is withdrawn again and again: %+v", when, lost)
				}
			}
		}
		if _, err := f.Tokens.Credential(ctx, pat.p, c.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Connections.Patch(ctx, owner.As(owner.Actor("", "")), c.ID, api.ConnectionPatch{Visibility: new(connections.Private)}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Tokens.Credential(ctx, pat.p, c.ID); bridge.CodeOf(err) != bridge.CodeConnectionUnknown {
			t.Errorf("a token without the scope uses it: %v", err)
		}
		settled("unshared")
		if _, err := f.Tokens.Credential(ctx, admin, c.ID); err != nil {
			t.Error(err)
		}
		if code := f.ChangeRole(owner, admin, "member"); code != "" {
			t.Fatal(code)
		}
		if due := f.Statements(); len(due) != 1 {
			t.Errorf("an admin becomes a member: %d statements", len(due))
		} else if err := f.Tokens.Withdrawn(ctx, due[0]); err != nil {
			t.Error(err)
		}
		settled("an admin became a member")
		if err := f.SQL.Tx(ctx, func(tx *sql.Tx) error { return registry.SettleRestored(ctx, tx, f.Clock()) }); err != nil {
			t.Fatal(err)
		}
		settled("restored")
	})
}

// A connection says how the cloud reaches its server, by the leases that run.
func TestWay(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		admin := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		own, _ := f.Exchanged(admin, "https://own.a.test")
		joined := f.NewJoiner().Join(f.JoinToken(admin, api.JoinTokenRequest{}).Token.Secret)
		now := f.Clock().Unix()
		f.Exec("INSERT INTO replicas (id, url, until) VALUES ('a', '', $1), ('b', '', $2), ('gone', '', $3)", now+10, now+20, now)
		f.Exec("INSERT INTO link_presence (connection_id, replica_id, links, servers) VALUES ($1, 'a', 2, 1), ($1, 'b', 1, 2), ($1, 'gone', 5, 5)", own.ID)
		f.Exec("UPDATE connections SET link_since = $1, link_reconnects = 3, link_rtt_ms = 12, cause_code = 'app_down' WHERE id = $2", now-60, own.ID)
		check := func(when string, way string, links, servers int) {
			t.Helper()
			list, _, err := f.Connections.Connections(ctx, admin, "", 0)
			if err != nil || len(list) != 2 {
				t.Fatalf("%+v %v", list, err)
			}
			one, err := f.Connections.Connection(ctx, admin, own.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []api.Connection{list[0], one} {
				if c.Way != way || c.Link == nil || c.Link.Links != links || c.Link.Servers != servers || c.Link.Reconnects != 3 || *c.Link.RoundTrip != 12 ||
					c.Link.Since.Unix() != now-60 || c.CauseCode != bridge.CodeAppDown {
					t.Errorf("%s: %s %+v", when, c.Way, c.Link)
				}
			}
			if list[1].ID != joined.ID || list[1].Way != api.WayTunnel || list[1].Link != nil {
				t.Errorf("%s: the joined one: %s %+v", when, list[1].Way, list[1].Link)
			}
		}
		check("with three links", api.WayTunnel, 3, 3)
		f.Advance(10 * time.Second)
		check("with one", api.WayTunnel, 1, 2)
		f.Advance(10 * time.Second)
		check("with none", api.WayDirect, 0, 0)
		if _, err := f.Connections.Delete(ctx, admin.As(admin.Actor("", "")), own.ID); err != nil {
			t.Fatal(err)
		}
		if got := f.Column("SELECT replica_id FROM link_presence"); len(got) != 0 {
			t.Errorf("presence outlives the connection: %q", got)
		}
	})
}
