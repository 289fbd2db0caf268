package accounts_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
)

// What anybody can choose freely, the name of a key or of a person, is in no mail of the cloud's: it could be an address to
// follow.
func TestNamesAreInNoMail(t *testing.T) {
	const lure = "Prize! https://evil.example"
	each(t, func(t *testing.T, f *fixture) {
		owner := f.Person("olga@a.test", "acme", bridge.RoleOwner)
		if _, err := f.Accounts.PatchAccount(t.Context(), owner.As(owner.Actor("", "")), api.ProfilePatch{Name: new(lure)}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Accounts.RenameOrganization(t.Context(), owner.As(owner.Actor("", "")), "acme", api.OrganizationPatch{Name: lure}); err != nil {
			t.Fatal(err)
		}
		key, err := f.Accounts.KeyPrincipal(t.Context(), bridge.Identity{Type: bridge.TypeAPIKey, KeyID: uuid.New(), Kind: bridge.KindLive,
			Subject: owner.Email, Org: "acme", Scopes: []bridge.Scope{"member:invite"}}, accounts.KeyFacts{Name: lure})
		if err != nil {
			t.Fatal(err)
		}
		f.Invite(owner, api.NewInvitation{Email: "new@b.test"})
		f.Invite(key, api.NewInvitation{Email: "other@b.test"})
		if err := f.Links.RequestReset(t.Context(), owner.Email, owner.Actor("", "")); err != nil {
			t.Fatal(err)
		}
		f.Advance(10 * time.Minute) // what was taken above and not sent comes again
		mails := f.Mailed()
		if len(mails) != 3 {
			t.Fatalf("%d mails", len(mails))
		}
		for _, m := range mails {
			if strings.Contains(m.Subject+m.Text.Reveal(), "evil") {
				t.Errorf("to %s: %s\n%s", m.To, m.Subject, m.Text.Reveal())
			}
		}
	})
}

func TestInvitations(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		owner, admin := f.Person("olga@a.test", "acme", bridge.RoleOwner), f.Person("adam@a.test", "acme", bridge.RoleAdmin)
		member, guest := f.Person("mia@a.test", "acme", bridge.RoleMember), f.Person("gus@b.test", "rival", bridge.RoleOwner)
		for _, c := range []struct {
			by   accounts.Principal
			n    api.NewInvitation
			code bridge.Code
		}{
			{member, api.NewInvitation{}, "role_admin"}, {admin, api.NewInvitation{Role: "owner"}, "role_above"},
			{admin, api.NewInvitation{Role: "boss"}, "role_unknown"}, {admin, api.NewInvitation{Email: "no address"}, "email_malformed"},
			{admin, api.NewInvitation{Email: "Mia@a.test"}, "already_member"}, {admin, api.NewInvitation{ExpiresIn: "31d"}, "expiry_malformed"},
			{admin, api.NewInvitation{ExpiresIn: "never"}, "expiry_malformed"}, {owner, api.NewInvitation{Role: "owner", ExpiresIn: "30d"}, ""},
		} {
			if _, err := f.Accounts.Invite(ctx, c.by.As(c.by.Actor("", "")), "acme", c.n); bridge.CodeOf(err) != c.code {
				t.Errorf("%s invites %+v: %v, want %q", c.by.Role, c.n, err, c.code)
			}
		}
		accept := func(p accounts.Principal, token bridge.Secret) bridge.Code {
			_, err := f.Joining.Accept(ctx, p.As(p.Actor("", "")), token)
			return bridge.CodeOf(err)
		}
		// Bound to an address: for that one alone, and once it is shown to be theirs.
		_, link, mailed := f.Invite(admin, api.NewInvitation{Email: "gus@b.test", Role: "viewer"})
		if mailed.IsZero() || mailed.Equal(link) {
			t.Fatal("no link of its own went to the address")
		}
		if _, err := f.SQL.ExecContext(ctx, "UPDATE users SET verified_at = 0 WHERE email = 'gus@b.test'"); err != nil {
			t.Fatal(err)
		}
		if got := accept(f.Person("eve@b.test", "evil", bridge.RoleOwner), mailed); got != "invitation_for_another" {
			t.Errorf("another person: %q", got)
		}
		if got := accept(guest, link); got != "email_unverified" {
			t.Errorf("an address that is not verified, by the inviter's link: %q", got)
		}
		if got := accept(guest, mailed); got != "email_unverified" {
			t.Errorf("a session from before, by the link that was mailed: %q", got)
		}
		if _, err := f.Joining.AcceptUnproven(ctx, accounts.Unproven{User: accounts.User{ID: guest.UserID, Email: guest.Email}}, mailed, audit.Actor{}); err != nil {
			t.Errorf("by the link that was mailed: %v", err)
		}
		if got := accept(guest, link); got != "invitation_unknown" {
			t.Errorf("used twice: %q", got)
		}
		if _, again, _ := f.Invite(admin, api.NewInvitation{}); accept(member, again) != "already_member" {
			t.Error("a member joins again")
		} else if _, err := f.Accounts.LookupInvitation(ctx, again); err != nil {
			t.Errorf("the invitation is used up by somebody who is a member: %v", err)
		}
		// Withdrawn, expired, made by somebody who may not any more.
		i, token, _ := f.Invite(admin, api.NewInvitation{})
		if err := f.Accounts.Withdraw(ctx, admin.As(admin.Actor("", "")), "acme", i.ID); err != nil {
			t.Fatal(err)
		}
		if _, code := f.SignUpWith(token, "w@a.test"); code != "invitation_unknown" {
			t.Errorf("withdrawn: %q", code)
		}
		_, token, _ = f.Invite(admin, api.NewInvitation{ExpiresIn: "1h"})
		_, week, _ := f.Invite(admin, api.NewInvitation{Role: "admin"})
		f.Advance(time.Hour)
		if _, code := f.SignUpWith(token, "x@a.test"); code != "invitation_unknown" {
			t.Errorf("expired: %q", code)
		}
		if got := f.ChangeRole(owner, admin, "member"); got != "" {
			t.Fatal(got)
		}
		if _, code := f.SignUpWith(week, "d@a.test"); code != "invitation_unknown" {
			t.Errorf("whose inviter was demoted: %q", code)
		}
		_, old, _ := f.Invite(owner, api.NewInvitation{Email: "new@a.test"})
		f.Invite(owner, api.NewInvitation{Email: "new@a.test"})
		if _, err := f.Accounts.LookupInvitation(ctx, old); bridge.CodeOf(err) != "invitation_unknown" {
			t.Errorf("an earlier invitation of the same address: %v", err)
		}
		list, _, err := f.Accounts.Invitations(ctx, owner, "acme", "", 0)
		if err != nil || len(list) != 2 {
			t.Errorf("%d invitations are open: %+v %v", len(list), list, err)
		}
		for _, i := range list {
			if i.URL != nil {
				t.Error("a link is shown a second time")
			}
		}
	})
}
