package tokens_test

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
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/tokens"
)

func (f *fixture) still(g, other tokens.AccessTerms) bool {
	return f.Hold(g, other) == tokens.Holds
}

func TestRelayAccessTermsEnd(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		mine := f.Relay(admin, f.Register(admin, "https://mine.a.test", storetest.AceKey().Text().Reveal()).ID)
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
				return storetest.Second(f.Connections.Patch(t.Context(), admin.As(admin.Actor("", "")), c.ID, storetest.Ceiling("app:read")))
			},
			"limited": func(c api.Connection, member accounts.Principal) error {
				return f.Limit(admin, c.ID, member.UserID, storetest.Limited("app:read"))
			},
			"excepted": func(c api.Connection, member accounts.Principal) error {
				return f.Limit(admin, c.ID, member.UserID, storetest.Nothing())
			},
			"an exception for somebody else": func(c api.Connection, _ accounts.Principal) error {
				return f.Limit(admin, c.ID, f.Person("other@a.test", "acme", bridge.RoleMember).UserID, storetest.Nothing())
			},
			"moved": func(c api.Connection, _ accounts.Principal) error {
				_, err := f.Connections.Patch(t.Context(), admin.As(admin.Actor("", "")), c.ID, api.ConnectionPatch{ServerURL: new("https://elsewhere.a.test")})
				return err
			},
			"another key": func(c api.Connection, _ accounts.Principal) error {
				f.Register(admin, string(c.ServerURL), storetest.AceKey().Text().Reveal())
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
			member := f.Person("m"+slug+"@a.test", "acme", bridge.RoleMember)
			c := f.Register(admin, "https://s"+slug+".a.test", storetest.AceKey().Text().Reveal())
			if _, err := f.Connections.Patch(t.Context(), admin.As(admin.Actor("", "")), c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
				t.Fatal(err)
			}
			g := f.Relay(member, c.ID)
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
		admin, boss := f.Person("ann@a.test", "acme", bridge.RoleAdmin), f.Person("boss@a.test", "acme", bridge.RoleOwner)
		max := f.Person("max@a.test", "acme", bridge.RoleMember)
		c := f.Shared(admin, "https://ace.a.test", storetest.AceKey().Text())
		mine, theirs := f.Relay(admin, c.ID), f.Relay(boss, c.ID)
		service := f.Relay(f.Service(max, "connection:use"), c.ID)
		if err := f.Limit(admin, c.ID, max.UserID, storetest.Limited("app:read")); err != nil {
			t.Fatal(err)
		}
		if f.still(service, mine) || !f.still(theirs, mine) {
			t.Error("a key of somebody who is limited goes on, or others do not")
		}
		if err := f.Limit(admin, c.ID, boss.UserID, storetest.Nothing()); err != nil {
			t.Fatal(err)
		}
		if f.still(theirs, mine) {
			t.Error("an admin who is excepted goes on")
		}
		f.Patch(admin, c.ID, storetest.Ceiling("app:read"))
		if !f.still(mine, mine) {
			t.Error("the owner is cut by a ceiling for others")
		}
	})
}

// What a removed member has left private is nobody's to use, also for who uses it at this moment.
func TestRelayOfWhatSomebodyLeft(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, member := f.Person("ann@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		mine := f.Relay(admin, f.Register(admin, "https://mine.a.test", "a-plain-key").ID)
		c := f.Register(member, "https://plain.a.test", "a-plain-key")
		share := func(visibility string) {
			if _, err := f.Connections.Patch(t.Context(), admin.As(admin.Actor("", "")), c.ID, api.ConnectionPatch{Visibility: &visibility}); err != nil {
				t.Fatal(err)
			}
		}
		private := f.Register(member, "https://private.a.test", "a-plain-key")
		if _, err := f.SQL.ExecContext(t.Context(), "UPDATE connections SET visibility = 'organization' WHERE id = $1", c.ID); err != nil {
			t.Fatal(err)
		}
		g := f.Relay(admin, c.ID)
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

func TestRelayAccessTermsCarryAPlainKeyToTheRelayOnly(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, member := f.Person("ann@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		c := f.Register(admin, "https://plain.a.test", "a-plain-key")
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
			f.Advance(step.after)
			if g := f.Relay(member, c.ID); g.Credential.Value.Reveal() != "a-plain-key" || g.Credential.Header != "X-Api-Key" {
				t.Errorf("the relay gets %+v", g.Credential)
			}
			if n := noted(); n != step.want {
				t.Errorf("step %d: %d uses are audited, want %d", i, n, step.want)
			}
			if step.after > time.Minute {
				got, err := f.Connections.Connection(t.Context(), admin, c.ID)
				if err != nil || got.LastUsedAt == nil || got.LastUsedAt.Unix() != f.Clock().Unix() {
					t.Errorf("step %d: last used %v (%v)", i, got.LastUsedAt, err)
				}
			}
		}
		f.Relay(admin, c.ID)
		if n := noted(); n != 3 {
			t.Errorf("with the owner's %d uses are audited", n)
		}
		if text := fmt.Sprintf("%+v", f.Relay(member, c.ID)); text == "" || containsKey(text) {
			t.Errorf("a grant prints its key: %s", text)
		}
	})
}

func containsKey(s string) bool { return strings.Contains(s, "a-plain-key") }
