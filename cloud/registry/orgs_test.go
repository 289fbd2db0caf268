package registry_test

import (
	"context"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/signup"
)

// again is the principal of a session as it is at this moment.
func (f *fixture) again(p accounts.Principal) (accounts.Principal, bridge.Code) {
	f.t.Helper()
	p, err := f.Sessions.SessionByID(f.t.Context(), p.SessionID)
	return p, bridge.CodeOf(err)
}

func (f *fixture) role(p accounts.Principal, who accounts.Principal, to string) bridge.Code {
	_, err := f.Accounts.ChangeRole(f.t.Context(), p.As(p.Actor("", "")), p.Org, who.UserID, to)
	return bridge.CodeOf(err)
}

func (f *fixture) remove(p, who accounts.Principal) (api.RemovedMember, bridge.Code) {
	removed, err := f.Accounts.RemoveMember(f.t.Context(), p.As(p.Actor("", "")), p.Org, who.UserID)
	return removed, bridge.CodeOf(err)
}

// invite makes an invitation and returns the tokens of its link, and of the one that was mailed.
func (f *fixture) invite(p accounts.Principal, n api.NewInvitation) (i api.Invitation, token, mailed bridge.Secret) {
	f.t.Helper()
	if _, err := f.Outbox.DueMail(f.t.Context(), 100); err != nil {
		f.t.Fatal(err)
	}
	i, err := f.Accounts.Invite(f.t.Context(), p.As(p.Actor("", "")), p.Org, n)
	if err != nil {
		f.t.Fatal(err)
	}
	link, err := url.Parse(i.URL.Reveal())
	if err != nil || link.Path != "/invite" {
		f.t.Fatalf("the link is %s (%v)", i.URL.Reveal(), err)
	}
	due, err := f.Outbox.DueMail(f.t.Context(), 100)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, m := range due {
		if found := linkToken.FindStringSubmatch(m.Text.Reveal()); m.To == n.Email && found != nil {
			mailed = bridge.NewSecret(found[1])
		}
	}
	return i, bridge.NewSecret(link.Query().Get("token")), mailed
}

var linkToken = regexp.MustCompile(`/invite\?token=(\S+)`)

func (f *fixture) signUp(token bridge.Secret, email string) (signup.SignedUp, bridge.Code) {
	up, err := f.SignUp.SignUp(f.t.Context(), token, signup.NewAccount{Name: "New", Email: email, Password: bridge.NewSecret(password)}, audit.Actor{ID: "anonymous"})
	return up, bridge.CodeOf(err)
}

func TestCreateOrganization(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		viewer := f.person("vera@a.test", "acme", bridge.RoleViewer)
		create := func(slug string) error {
			_, err := f.Accounts.CreateOrganization(t.Context(), viewer.As(viewer.Actor("", "")), api.NewOrganization{Slug: slug})
			return err
		}
		if err := create("lab"); err != nil {
			t.Fatal(err)
		}
		if err := create("acme"); bridge.CodeOf(err) != "organization_taken" || bridge.AsError(err).Hint != "the name acme-2 is free" {
			t.Errorf("a slug that is taken: %v, %q", err, bridge.AsError(err).Hint)
		}
		if err := create("No Slug"); bridge.CodeOf(err) != "organization_malformed" {
			t.Errorf("a malformed slug: %v", err)
		}
		moved, err := f.Sessions.SwitchSession(t.Context(), viewer.As(viewer.Actor("", "")), "lab")
		if err != nil || moved.Role != bridge.RoleOwner || moved.Org != "lab" {
			t.Fatalf("the founder is no owner: %+v %v", moved, err)
		}
		if _, err := f.Accounts.RenameOrganization(t.Context(), moved.As(moved.Actor("", "")), "lab", api.OrganizationPatch{Name: "The Lab"}); err != nil {
			t.Error(err)
		}
		if _, err := f.Accounts.RenameOrganization(t.Context(), moved.As(moved.Actor("", "")), "acme",
			api.OrganizationPatch{Name: "x"}); bridge.CodeOf(err) != "organization_unknown" {
			t.Errorf("another organization than the session's: %v", err)
		}
		// Many at once do not pass the bound together.
		codes := make(chan string)
		for i := range 14 {
			go func() {
				_, err := f.Accounts.CreateOrganization(context.Background(), moved.As(audit.Actor{}), api.NewOrganization{Slug: "lab-" + string(rune('a'+i))})
				codes <- string(bridge.CodeOf(err))
			}()
		}
		made := 1
		for range 14 {
			switch code := <-codes; code {
			case "":
				made++
			case "too_many_organizations":
			default:
				t.Errorf("create: %q", code)
			}
		}
		if made != 10 {
			t.Errorf("one person made %d organizations", made)
		}
	})
}

// Who may give whom which role; each case begins with the same five people.
func TestRoles(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		people := map[string]accounts.Principal{}
		for name, role := range map[string]bridge.Role{"owner": "owner", "second": "owner", "admin": "admin", "member": "member", "viewer": "viewer"} {
			people[name] = f.person(name+"@a.test", "acme", role)
		}
		rival := f.person("rival@b.test", "rival", bridge.RoleOwner)
		for _, c := range []struct {
			by, whom, to string
			code         bridge.Code
		}{
			{"viewer", "viewer", "member", "role_admin"},
			{"member", "member", "admin", "role_admin"},
			{"admin", "admin", "owner", "role_above"},
			{"admin", "owner", "admin", "role_above"},
			{"admin", "viewer", "owner", "role_above"},
			{"admin", "viewer", "boss", "role_unknown"},
			{"admin", "viewer", "member", ""},
			{"admin", "viewer", "viewer", ""},
			{"owner", "member", "owner", ""},
			{"owner", "member", "member", ""},
		} {
			if got := f.role(people[c.by], people[c.whom], c.to); got != c.code {
				t.Errorf("%s makes %s %s: %q, want %q", c.by, c.whom, c.to, got, c.code)
			}
		}
		if got := f.role(rival, people["viewer"], "member"); got != "member_unknown" {
			t.Errorf("a stranger's change: %q", got)
		}
		if _, code := f.remove(people["admin"], people["owner"]); code != "role_above" {
			t.Errorf("an admin removes an owner: %q", code)
		}
		if _, code := f.remove(people["member"], people["viewer"]); code != "role_admin" {
			t.Errorf("a member removes another: %q", code)
		}
		// A change counts from the next request on, and for what the old principal still tries.
		if got := f.role(people["owner"], people["admin"], "viewer"); got != "" {
			t.Fatal(got)
		}
		if now, _ := f.again(people["admin"]); now.Role != bridge.RoleViewer {
			t.Errorf("the demoted admin's next request is one of %s %s", now.Role, now.Email)
		}
		if got := f.role(people["admin"], people["member"], "viewer"); got != "role_admin" {
			t.Errorf("a request that began as an admin's ends as one: %q", got)
		}
	})
}

func TestLastOwner(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner := f.person("olga@a.test", "acme", bridge.RoleOwner)
		second := f.person("otto@a.test", "acme", bridge.RoleAdmin)
		if got := f.role(owner, owner, "admin"); got != "last_owner" {
			t.Errorf("the last owner steps down: %q", got)
		}
		if _, code := f.remove(owner, owner); code != "last_owner" {
			t.Errorf("the last owner leaves: %q", code)
		}
		if got := f.role(owner, second, "owner"); got != "" {
			t.Fatal(got)
		}
		second, _ = f.again(second)
		race := func(first, other func() bridge.Code) (codes []bridge.Code) {
			done := make(chan bridge.Code)
			for _, do := range []func() bridge.Code{first, other} {
				go func() { done <- do() }()
			}
			return []bridge.Code{<-done, <-done}
		}
		demoted := race(func() bridge.Code { return f.role(owner, second, "admin") }, func() bridge.Code {
			return f.role(second, owner,
				"admin")
		})
		if (demoted[0] == "") == (demoted[1] == "") {
			t.Errorf("two owners demote each other: %q", demoted)
		}
		owners := func() (owners []accounts.Principal) {
			for _, p := range []accounts.Principal{owner, second} {
				if p, code := f.again(p); code == "" && p.Role == bridge.RoleOwner {
					owners = append(owners, p)
				}
			}
			return owners
		}
		left := owners()
		if len(left) != 1 {
			t.Fatalf("%d owners are left", len(left))
		}
		for _, p := range []accounts.Principal{owner, second} {
			if code := f.role(left[0], p, "owner"); code != "" {
				t.Fatal(code)
			}
		}
		owner, _ = f.again(owner)
		second, _ = f.again(second)
		codes := race(func() bridge.Code { _, code := f.remove(owner, owner); return code }, func() bridge.Code {
			_,
				code := f.remove(second, second)
			return code
		})
		if len(owners()) != 1 || codes[0]+codes[1] != "last_owner" {
			t.Errorf("both owners leave at once: %q, and %d are left", codes, len(owners()))
		}
	})
}

// A member who is removed is out at once, by every way in, and does not come in again by one of them when they come back.
func TestRemovedMemberIsOut(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		owner, ann := f.person("olga@a.test", "acme", bridge.RoleOwner), f.person("ann@a.test", "acme", bridge.RoleAdmin)
		private := f.register(ann, "https://private.a.test", aceKey().Text().Reveal())
		shared := f.register(ann, "https://shared.a.test", aceKey().Text().Reveal())
		organization := connections.Organization
		if _, err := f.Connections.Patch(ctx, ann.As(ann.Actor("", "")), shared.ID, api.ConnectionPatch{Visibility: &organization}); err != nil {
			t.Fatal(err)
		}
		cookie, _ := f.Sessions.OpenSession(ctx, ann.UserID, "acme", accounts.MethodBrowser, audit.Actor{})
		device, err := f.Sessions.OpenSession(ctx, ann.UserID, "acme", accounts.MethodDevice, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		pending, err := f.Sessions.StartDevice(ctx, accounts.DeviceStart{ClientID: "cli"})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Sessions.DecideDevice(ctx, ann.As(ann.Actor("", "")), pending.UserCode, true); err != nil {
			t.Fatal(err)
		}
		_, invitation, _ := f.invite(ann, api.NewInvitation{})

		removed, code := f.remove(owner, ann)
		if code != "" || len(removed.Connections) != 1 || removed.Connections[0].ID != private.ID || removed.Member.Email != "ann@a.test" {
			t.Fatalf("%q %+v", code, removed)
		}
		out := func(when string) {
			t.Helper()
			_, byCookie := f.Sessions.BrowserSession(ctx, cookie.Cookie)
			_, byID := f.Sessions.SessionByID(ctx, device.Principal.SessionID)
			_, byRefresh := f.Sessions.RefreshSession(ctx, device.Refresh, audit.Actor{})
			_, byDevice := f.Sessions.PollDevice(ctx, accounts.DevicePoll{Code: pending.DeviceCode, ClientID: "cli"}, audit.Actor{})
			_, byInvitation := f.Accounts.LookupInvitation(ctx, invitation)
			for way, got := range map[string][2]string{"cookie": {string(bridge.CodeOf(byCookie)), "session_ended"},
				"session": {string(bridge.CodeOf(byID)), "session_ended"},
				"refresh": {string(bridge.CodeOf(byRefresh)), "invalid_grant"}, "device": {string(bridge.CodeOf(byDevice)), "access_denied"},
				"invitation": {string(bridge.CodeOf(byInvitation)), "invitation_unknown"}} {
				if got[0] != got[1] {
					t.Errorf("%s, by %s: %q, want %q", when, way, got[0], got[1])
				}
			}
		}
		out("removed")
		_, err = f.Sessions.OpenSession(ctx, ann.UserID, "acme", accounts.MethodBrowser, audit.Actor{})
		if bridge.CodeOf(err) != "not_a_member" {
			t.Errorf("signing in again: %v", err)
		}
		key := aceKey().Text().Disclose()
		if _, _, err := f.Connections.Register(ctx, ann.As(audit.Actor{}), api.RegisterRequest{ServerURL: "https://x.test",
			APIKey: &key}); bridge.CodeOf(err) != "not_a_member" {
			t.Errorf("a request that began before the removal registers a connection: %v", err)
		}

		// What she had: the shared one goes on, the private one is the admins' to disconnect and nobody's to use.
		member := f.person("mia@a.test", "acme", bridge.RoleMember)
		if _, err := f.Tokens.Credential(ctx, member, shared.ID); err != nil {
			t.Errorf("the shared connection: %v", err)
		}
		for name, c := range map[string]struct {
			err  error
			want bridge.Code
		}{
			"an admin looks":    {second(f.Connections.Connection(ctx, owner, private.ID)), ""},
			"a member looks":    {second(f.Connections.Connection(ctx, member, private.ID)), "connection_unknown"},
			"an admin uses it":  {second(f.Tokens.Credential(ctx, owner, private.ID)), "owner_gone"},
			"an admin shares":   {second(f.Connections.Patch(ctx, owner.As(owner.Actor("", "")), private.ID, api.ConnectionPatch{Visibility: &organization})), "owner_gone"},
			"a member removes":  {second(f.Connections.Delete(ctx, member.As(member.Actor("", "")), private.ID)), "connection_unknown"},
			"an admin's list":   {wantConnections(f, owner, 2), ""},
			"a member's list":   {wantConnections(f, member, 1), ""},
			"an admin moves it": {second(f.Connections.Patch(ctx, owner.As(owner.Actor("", "")), private.ID, api.ConnectionPatch{ServerURL: new("https://evil.test")})), "owner_gone"},
		} {
			if got := bridge.CodeOf(c.err); got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		}
		if _, err := f.Connections.Delete(ctx, owner.As(owner.Actor("", "")), private.ID); err != nil {
			t.Errorf("an admin disconnects what she left: %v", err)
		}

		// She comes back, and nothing of before is alive again.
		_, back, _ := f.invite(owner, api.NewInvitation{Role: "admin"})
		if _, err := f.Joining.Accept(ctx, ann.As(ann.Actor("", "")), back); err != nil {
			t.Fatal(err)
		}
		f.advance(time.Minute)
		out("back")
		if c, err := f.Connections.Connection(ctx, ann, shared.ID); err != nil || !c.Mine || c.OwnerGone {
			t.Errorf("her shared connection is hers again: %+v %v", c, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func wantConnections(f *fixture, p accounts.Principal, want int) error {
	list, _, err := f.Connections.Connections(f.t.Context(), p, "", 0)
	if err == nil && len(list) != want {
		err = bridge.E(bridge.Internal, "count", "%d connections, want %d", len(list), want)
	}
	return err
}

// Sessions that open while their member is removed do not outlive the removal, however the two interleave.
func TestRemovalAgainstSignIn(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner := f.person("olga@a.test", "acme", bridge.RoleOwner)
		ann := f.person("ann@a.test", "acme", bridge.RoleMember)
		opened := make(chan string, 8)
		for range cap(opened) {
			go func() {
				s, err := f.Sessions.OpenSession(context.Background(), ann.UserID, "acme", accounts.MethodDevice, audit.Actor{})
				if err != nil && bridge.CodeOf(err) != "not_a_member" {
					t.Error(err)
				}
				opened <- s.Principal.SessionID
			}()
		}
		if _, code := f.remove(owner, ann); code != "" {
			t.Fatal(code)
		}
		for range cap(opened) {
			<-opened
		}
		var alive int
		if err := f.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sessions WHERE user_id = $1 AND ended_at = 0", ann.UserID).Scan(&alive); err != nil || alive != 0 {
			t.Errorf("%d sessions of a removed member have not ended (%v)", alive, err)
		}
	})
}

func TestInvitations(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		owner, admin := f.person("olga@a.test", "acme", bridge.RoleOwner), f.person("adam@a.test", "acme", bridge.RoleAdmin)
		member, guest := f.person("mia@a.test", "acme", bridge.RoleMember), f.person("gus@b.test", "rival", bridge.RoleOwner)
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
		_, link, mailed := f.invite(admin, api.NewInvitation{Email: "gus@b.test", Role: "viewer"})
		if mailed.IsZero() || mailed.Equal(link) {
			t.Fatal("no link of its own went to the address")
		}
		if _, err := f.db.ExecContext(ctx, "UPDATE users SET verified_at = 0 WHERE email = 'gus@b.test'"); err != nil {
			t.Fatal(err)
		}
		if got := accept(f.person("eve@b.test", "evil", bridge.RoleOwner), mailed); got != "invitation_for_another" {
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
		if _, again, _ := f.invite(admin, api.NewInvitation{}); accept(member, again) != "already_member" {
			t.Error("a member joins again")
		} else if _, err := f.Accounts.LookupInvitation(ctx, again); err != nil {
			t.Errorf("the invitation is used up by somebody who is a member: %v", err)
		}
		// Withdrawn, expired, made by somebody who may not any more.
		i, token, _ := f.invite(admin, api.NewInvitation{})
		if err := f.Accounts.Withdraw(ctx, admin.As(admin.Actor("", "")), "acme", i.ID); err != nil {
			t.Fatal(err)
		}
		if _, code := f.signUp(token, "w@a.test"); code != "invitation_unknown" {
			t.Errorf("withdrawn: %q", code)
		}
		_, token, _ = f.invite(admin, api.NewInvitation{ExpiresIn: "1h"})
		_, week, _ := f.invite(admin, api.NewInvitation{Role: "admin"})
		f.advance(time.Hour)
		if _, code := f.signUp(token, "x@a.test"); code != "invitation_unknown" {
			t.Errorf("expired: %q", code)
		}
		if got := f.role(owner, admin, "member"); got != "" {
			t.Fatal(got)
		}
		if _, code := f.signUp(week, "d@a.test"); code != "invitation_unknown" {
			t.Errorf("whose inviter was demoted: %q", code)
		}
		_, old, _ := f.invite(owner, api.NewInvitation{Email: "new@a.test"})
		f.invite(owner, api.NewInvitation{Email: "new@a.test"})
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

func TestSignUp(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		owner := f.person("olga@a.test", "acme", bridge.RoleOwner)
		_, token, _ := f.invite(owner, api.NewInvitation{Role: "viewer"})
		if _, code := f.signUp(token, "olga@a.test"); code != "user_exists" {
			t.Errorf("an address that has an account: %q", code)
		}
		up, code := f.signUp(token, "New@a.test")
		if code != "" || up.Verified {
			t.Fatalf("%+v %q", up, code)
		}
		if p, err := f.Sessions.BrowserSession(ctx,
			up.Waiting); bridge.CodeOf(err) != bridge.CodeEmailUnverified || !up.Session.Cookie.IsZero() {
			t.Errorf("somebody whose address is not proven: %+v %v", p, err)
		}
		if err := f.Links.VerifyEmail(ctx, f.link(signin.PurposeVerify), bridge.NewSecret(password), audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if list, _, _ := f.Accounts.Members(ctx, owner, "acme", "", 0); len(list) != 2 || list[1].Email != "new@a.test" || list[1].Role != "viewer" {
			t.Errorf("the membership does not start with the proof: %+v", list)
		}
		_, shown, mailed := f.invite(owner, api.NewInvitation{Email: "bea@a.test"})
		if _, code := f.signUp(mailed, "bob@a.test"); code != "invitation_for_another" {
			t.Errorf("another address: %q", code)
		}
		if up, code := f.signUp(mailed, "bea@a.test"); code != "" || !up.Verified {
			t.Errorf("by the mailed link: %+v %q", up, code)
		}
		// The one who invites holds a link, too: it must not make them the owner of somebody else's address.
		if _, code := f.signUp(shown, "bea@a.test"); code != "invitation_unknown" {
			t.Errorf("the other link lives on: %q", code)
		}
		_, shown, _ = f.invite(owner, api.NewInvitation{Email: "ceo@big.test"})
		if up, code := f.signUp(shown, "ceo@big.test"); code != "" || up.Verified {
			t.Errorf("by the inviter's own link: %+v %q", up, code)
		}
		// One invitation, many at once.
		_, token, _ = f.invite(owner, api.NewInvitation{})
		codes := make(chan string)
		for i := range 6 {
			go func() {
				_, code := f.signUp(token, "race"+string(rune('a'+i))+"@a.test")
				codes <- string(code)
			}()
		}
		joined := 0
		for range 6 {
			switch code := <-codes; code {
			case "":
				joined++
			case "invitation_awaited":
			default:
				t.Errorf("sign up: %q", code)
			}
		}
		if list, _, _ := f.Accounts.Members(ctx, owner, "acme", "", 0); joined != 5 || len(list) != 3 {
			t.Errorf("%d people wait with one invitation; the members are %+v", joined, list)
		}
		for _, table := range []string{"invitations", "audit", "users"} {
			dump(t, f.db, table, []string{token.Reveal(), shown.Reveal(), mailed.Reveal(), password})
		}
	})
}
