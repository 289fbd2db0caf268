package registry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
)

func (f *fixture) relay(p accounts.Principal, id string) connections.AccessTerms {
	f.t.Helper()
	g, err := f.Tokens.Relay(f.t.Context(), p.As(p.Actor("", "")), id)
	if err != nil {
		f.t.Fatal(err)
	}
	return g
}

func (f *fixture) still(g, other connections.AccessTerms) bool {
	return f.hold(g, other) == connections.Holds
}

// hold asks for one grant among many that hold.
func (f *fixture) hold(g, other connections.AccessTerms) connections.Hold {
	f.t.Helper()
	all := make([]connections.AccessTerms, 0, 251)
	for range 250 {
		all = append(all, other)
	}
	all = append(all, g)
	still, err := f.Tokens.RelayStill(f.t.Context(), all)
	if err != nil {
		f.t.Fatal(err)
	}
	for i, hold := range still[:250] {
		if hold != connections.Holds {
			f.t.Fatalf("another grant, the %dth, has ended", i)
		}
	}
	return still[250]
}

func TestRelayGrantsEnd(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin := f.person("ann@a.test", "acme", bridge.RoleAdmin)
		mine := f.relay(admin, f.register(admin, "https://mine.a.test", aceKey().Text().Reveal()).ID)
		for name, end := range map[string]func(c api.Connection, member accounts.Principal) error{
			"": func(api.Connection, accounts.Principal) error { return nil },
			"renamed": func(c api.Connection, _ accounts.Principal) error {
				_, err := f.Connections.Patch(t.Context(), admin.As(admin.Actor("", "")), c.ID, api.ConnectionPatch{Name: new("another name")})
				return err
			},
			"unshared": func(c api.Connection, _ accounts.Principal) error {
				_, err := f.Connections.Patch(t.Context(), admin.As(admin.Actor("", "")), c.ID, api.ConnectionPatch{Visibility: new(connections.Private)})
				return err
			},
			"a ceiling": func(c api.Connection, _ accounts.Principal) error {
				return second(f.Connections.Patch(t.Context(), admin.As(admin.Actor("", "")), c.ID, ceiling("app:read")))
			},
			"limited": func(c api.Connection, member accounts.Principal) error {
				return f.limit(admin, c.ID, member.UserID, limited("app:read"))
			},
			"excepted": func(c api.Connection, member accounts.Principal) error {
				return f.limit(admin, c.ID, member.UserID, nothing())
			},
			"an exception for somebody else": func(c api.Connection, _ accounts.Principal) error {
				return f.limit(admin, c.ID, f.person("other@a.test", "acme", bridge.RoleMember).UserID, nothing())
			},
			"moved": func(c api.Connection, _ accounts.Principal) error {
				_, err := f.Connections.Patch(t.Context(), admin.As(admin.Actor("", "")), c.ID, api.ConnectionPatch{ServerURL: new("https://elsewhere.a.test")})
				return err
			},
			"another key": func(c api.Connection, _ accounts.Principal) error {
				f.register(admin, string(c.ServerURL), aceKey().Text().Reveal())
				return nil
			},
			"disconnected": func(c api.Connection, _ accounts.Principal) error {
				_, err := f.Connections.Delete(t.Context(), admin.As(admin.Actor("", "")), c.ID)
				return err
			},
			"session ended": func(_ api.Connection, member accounts.Principal) error {
				return f.Sessions.EndSession(t.Context(), member.As(member.Actor("", "")))
			},
			"another role": func(_ api.Connection, member accounts.Principal) error {
				_, err := f.Accounts.ChangeRole(t.Context(), admin.As(admin.Actor("", "")), "acme", member.UserID, "viewer")
				return err
			},
			"removed": func(_ api.Connection, member accounts.Principal) error {
				_, err := f.Accounts.RemoveMember(t.Context(), admin.As(admin.Actor("", "")), "acme", member.UserID)
				return err
			},
		} {
			slug := fmt.Sprintf("%x", name)
			member := f.person("m"+slug+"@a.test", "acme", bridge.RoleMember)
			c := f.register(admin, "https://s"+slug+".a.test", aceKey().Text().Reveal())
			if _, err := f.Connections.Patch(t.Context(), admin.As(admin.Actor("", "")), c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
				t.Fatal(err)
			}
			g := f.relay(member, c.ID)
			if !f.still(g, mine) {
				t.Errorf("before %q it does not hold", name)
			}
			if err := end(c, member); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if want := name == "" || name == "renamed" || name == "an exception for somebody else"; f.still(g, mine) != want {
				t.Errorf("%q: it holds: %v", name, !want)
			}
		}
	})
}

// What is limited and not hers goes by without a trace for an owner; an admin who is excepted is out, though they see it.
func TestRelayLimitsOfOwnersAndAdmins(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, boss := f.person("ann@a.test", "acme", bridge.RoleAdmin), f.person("boss@a.test", "acme", bridge.RoleOwner)
		max := f.person("max@a.test", "acme", bridge.RoleMember)
		c := f.shared(admin, "https://ace.a.test", aceKey().Text())
		mine, theirs := f.relay(admin, c.ID), f.relay(boss, c.ID)
		service := f.relay(f.service(max, "connection:use"), c.ID)
		if err := f.limit(admin, c.ID, max.UserID, limited("app:read")); err != nil {
			t.Fatal(err)
		}
		if f.still(service, mine) || !f.still(theirs, mine) {
			t.Error("a key of somebody who is limited goes on, or others do not")
		}
		if err := f.limit(admin, c.ID, boss.UserID, nothing()); err != nil {
			t.Fatal(err)
		}
		if f.still(theirs, mine) {
			t.Error("an admin who is excepted goes on")
		}
		f.patch(admin, c.ID, ceiling("app:read"))
		if !f.still(mine, mine) {
			t.Error("the owner is cut by a ceiling for others")
		}
	})
}

// What a removed member has left private is nobody's to use, also for who uses it at this moment.
func TestRelayOfWhatSomebodyLeft(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, member := f.person("ann@a.test", "acme", bridge.RoleAdmin), f.person("max@a.test", "acme", bridge.RoleMember)
		mine := f.relay(admin, f.register(admin, "https://mine.a.test", "a-plain-key").ID)
		c := f.register(member, "https://plain.a.test", "a-plain-key")
		share := func(visibility string) {
			if _, err := f.Connections.Patch(t.Context(), admin.As(admin.Actor("", "")), c.ID, api.ConnectionPatch{Visibility: &visibility}); err != nil {
				t.Fatal(err)
			}
		}
		private := f.register(member, "https://private.a.test", "a-plain-key")
		if _, err := f.db.ExecContext(t.Context(), "UPDATE connections SET visibility = 'organization' WHERE id = $1", c.ID); err != nil {
			t.Fatal(err)
		}
		g := f.relay(admin, c.ID)
		if _, err := f.Accounts.RemoveMember(t.Context(), admin.As(admin.Actor("", "")), "acme", member.UserID); err != nil {
			t.Fatal(err)
		}
		if !f.still(g, mine) {
			t.Error("what is shared ends with its owner")
		}
		if _, err := f.Tokens.Relay(t.Context(), admin.As(audit.Actor{}), private.ID); bridge.CodeOf(err) != "owner_gone" {
			t.Errorf("what was private: %v", err)
		}
		share(connections.Private)
		if f.still(g, mine) {
			t.Error("what is private again goes on")
		}
	})
}

func TestRelayGrantsAPlainKeyToTheRelayOnly(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, member := f.person("ann@a.test", "acme", bridge.RoleAdmin), f.person("max@a.test", "acme", bridge.RoleMember)
		c := f.register(admin, "https://plain.a.test", "a-plain-key")
		if _, err := f.Tokens.Relay(t.Context(), member.As(audit.Actor{}), c.ID); bridge.CodeOf(err) != "connection_unknown" {
			t.Errorf("a private connection: %v", err)
		}
		if _, err := f.Connections.Patch(t.Context(), admin.As(admin.Actor("", "")), c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Tokens.Credential(t.Context(), member, c.ID); bridge.CodeOf(err) != "key_not_shown" {
			t.Errorf("the member is shown the key: %v", err)
		}
		noted := func() (n int) {
			t.Helper()
			list, _, err := f.Accounts.Audit(t.Context(), admin, audit.Query{Action: "connection.relay", Target: "connection:" + c.ID})
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		for i, step := range []struct {
			after time.Duration
			want  int
		}{{0, 1}, {time.Second, 1}, {2 * time.Minute, 1}, {23 * time.Hour, 1}, {time.Hour, 2}} {
			f.advance(step.after)
			if g := f.relay(member, c.ID); g.Credential.Value.Reveal() != "a-plain-key" || g.Credential.Header != "X-Api-Key" {
				t.Errorf("the relay gets %+v", g.Credential)
			}
			if n := noted(); n != step.want {
				t.Errorf("step %d: %d uses are audited, want %d", i, n, step.want)
			}
			if step.after > time.Minute {
				got, err := f.Connections.Connection(t.Context(), admin, c.ID)
				if err != nil || got.LastUsedAt == nil || got.LastUsedAt.Unix() != f.clock().Unix() {
					t.Errorf("step %d: last used %v (%v)", i, got.LastUsedAt, err)
				}
			}
		}
		f.relay(admin, c.ID)
		if n := noted(); n != 3 {
			t.Errorf("with the owner's %d uses are audited", n)
		}
		if text := fmt.Sprintf("%+v", f.relay(member, c.ID)); text == "" || containsKey(text) {
			t.Errorf("a grant prints its key: %s", text)
		}
	})
}

func containsKey(s string) bool { return strings.Contains(s, "a-plain-key") }
