package preview_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/preview"
)

func everyKey(uuid.UUID) bool { return true }

// A preview is refused where the change is, with its code, and leaves nothing behind: not even what the change notes.
func TestPreviewsAreRefusedAsChangesAre(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.NewAuthority()
		owner, admin := f.Person("olga@a.test", "acme", bridge.RoleOwner), f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		member, rival := f.Person("max@a.test", "acme", bridge.RoleMember), f.Person("rita@b.test", "rival", bridge.RoleOwner)
		shared := f.Shared(admin, "https://ace.a.test", storetest.AceKey().Text())
		ctx := t.Context()
		deletes := func(p accounts.Principal) error {
			_, err := f.Preview.EndsOfDelete(ctx, p, shared.ID, everyKey)
			return err
		}
		caps := func(p accounts.Principal) error {
			_, err := f.Preview.EndsOfPatch(ctx, p, shared.ID, storetest.Ceiling("app:read"), everyKey)
			return err
		}
		limits := func(p accounts.Principal, who string) error {
			_, err := f.Preview.EndsOfLimit(ctx, p, shared.ID, connections.LimitSubject{ID: who}, storetest.Nothing(), everyKey)
			return err
		}
		changes := func(p accounts.Principal, org, who, role string) error {
			_, err := f.Preview.EndsOfMember(ctx, p, org, who, role, everyKey)
			return err
		}
		before := f.content()
		for _, c := range []struct {
			name string
			do   func() error
			code bridge.Code
		}{
			{"the owner of the connection disconnects", func() error { return deletes(admin) }, ""},
			{"a member disconnects", func() error { return deletes(member) }, bridge.CodeNotOwner},
			{"a stranger disconnects", func() error { return deletes(rival) }, bridge.CodeConnectionUnknown},
			{"an admin sets a ceiling", func() error { return caps(admin) }, ""},
			{"a stranger sets a ceiling", func() error { return caps(rival) }, bridge.CodeConnectionUnknown},
			{"an admin limits a member", func() error { return limits(admin, member.UserID) }, ""},
			{"a stranger limits a member", func() error { return limits(rival, member.UserID) }, bridge.CodeConnectionUnknown},
			{"an admin removes a member", func() error { return changes(admin, "acme", member.UserID, "") }, ""},
			{"an owner removes an admin", func() error { return changes(owner, "acme", admin.UserID, "") }, ""},
			{"the last owner goes", func() error { return changes(owner, "acme", owner.UserID, "") }, bridge.CodeLastOwner},
			{"another organization", func() error { return changes(rival, "acme", member.UserID, "") }, bridge.CodeOrganizationUnknown},
			{"a role that is none", func() error { return changes(owner, "acme", member.UserID, "root") }, bridge.CodeRoleUnknown},
			{"an admin makes an owner", func() error { return changes(admin, "acme", member.UserID, "owner") }, bridge.CodeRoleAbove},
		} {
			if err := c.do(); bridge.CodeOf(err) != c.code {
				t.Errorf("%s: %v, want %q", c.name, err, c.code)
			}
			if now := f.content(); !slices.Equal(now, before) {
				t.Fatalf("%s has changed %v", c.name, missing(before, now))
			}
		}
	})
}

// What somebody does not see is not told to them by a preview either: of a private connection they get its ID.
func TestPreviewsHidePrivateConnections(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.NewAuthority()
		owner, admin := f.Person("olga@a.test", "acme", bridge.RoleOwner), f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		private := f.Register(admin, "https://secret.a.test", storetest.AceKey().Text().Reveal())
		if _, err := f.Tokens.Credential(t.Context(), admin, private.ID); err != nil {
			t.Fatal(err)
		}
		names := func(p accounts.Principal, e preview.Ends, err error) (out []string) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range e.Holders {
				if h.Connection.ID != private.ID {
					t.Errorf("%s is told of %+v", p.Email, h.Connection)
				}
				out = append(out, h.Connection.Name+" "+string(h.Connection.ServerURL))
			}
			return out
		}
		e, err := f.Preview.EndsOfMember(t.Context(), owner, "acme", admin.UserID, "viewer", everyKey)
		if got := names(owner, e, err); !slices.Equal(got, []string{"a private connection "}) || e.Member.Email != admin.Email {
			t.Errorf("of a change of %s's role the owner is told %q", e.Member.Email, got)
		}
		// What a removed member leaves, admins see: they are to disconnect it.
		e, err = f.Preview.EndsOfMember(t.Context(), owner, "acme", admin.UserID, "", everyKey)
		if got := names(owner, e, err); !slices.Equal(got, []string{"secret.a.test https://secret.a.test"}) ||
			!slices.ContainsFunc(e.Here, func(i api.Ending) bool { return i.ID == private.ID && i.Fate == api.FateLeft }) {
			t.Errorf("of a removal the owner is told %q and %+v", got, e.Here)
		}
		e, err = f.Preview.EndsOfDelete(t.Context(), admin, private.ID, everyKey)
		if got := names(admin, e, err); len(got) != 1 || got[0] == "a private connection " || e.Removed == nil {
			t.Errorf("its owner is told %q", got)
		}
	})
}
