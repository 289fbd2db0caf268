package providers_test

import (
	"sync"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/signin"
)

// A session that goes back to the sign-in provider of one organization reaches neither the password, nor the second factor,
// nor other organizations.
func TestProviderSessionReachesNoFurther(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		rival := f.Person("rival@b.test", "rival", bridge.RoleOwner)
		if _, err := f.SQL.ExecContext(t.Context(), "INSERT INTO members (org_id, user_id, role, joined_at) VALUES ($1, $2, 'viewer', 0)",
			rival.OrgID, p.UserID); err != nil {
			t.Fatal(err)
		}
		elsewhere, err := f.Sessions.OpenSession(t.Context(), p.UserID, "rival", accounts.MethodDevice, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		p.Provider = "some-provider"
		ctx, by, right, name := t.Context(), p.Actor("", ""), bridge.NewSecret(storetest.Password), "Ann"
		for what, try := range map[string]func() error{
			"password": func() error {
				return f.Passwords.Change(ctx, p.As(by), right, bridge.NewSecret("another horse battery"))
			},
			"enrol":   func() error { _, err := f.Factors.Begin(ctx, p.As(by), right); return err },
			"confirm": func() error { _, err := f.Factors.Confirm(ctx, p.As(by), "000000"); return err },
			"disable": func() error { return f.Factors.Disable(ctx, p.As(by), right, "000000") },
			"codes":   func() error { _, err := f.Factors.RenewRecoveryCodes(ctx, p.As(by), right, "000000"); return err },
			"profile": func() error {
				_, err := f.Accounts.PatchAccount(ctx, p.As(by), api.ProfilePatch{Name: &name})
				return err
			},
			"switch": func() error { _, err := f.Sessions.SwitchSession(ctx, p.As(by), "rival"); return err },
		} {
			if err := try(); bridge.CodeOf(err) != "provider_session" {
				t.Errorf("%s: %v", what, err)
			}
		}
		if list, err := f.Sessions.Sessions(ctx, p); err != nil || len(list) != 1 || list[0].Org != "acme" {
			t.Errorf("the sessions: %+v (%v)", list, err)
		}
		if err := f.Sessions.EndSessionByID(ctx, p.As(by), elsewhere.Principal.SessionID); bridge.CodeOf(err) != "session_unknown" {
			t.Errorf("a session elsewhere is ended: %v", err)
		}
		if err := f.Sessions.EndSessions(ctx, p.As(by), true); err != nil {
			t.Error(err)
		}
		if _, err := f.Sessions.SessionByID(ctx, elsewhere.Principal.SessionID); err != nil {
			t.Errorf("a session elsewhere is ended with all: %v", err)
		}
	})
}

func TestRemovedProviderVoidsApprovals(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner := f.Person("own@a.test", "acme", bridge.RoleOwner)
		provider := f.WithProvider(owner)
		s, err := f.Providers.Finish(t.Context(), provider, storetest.Vouch("bob@a.test"), audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		device, code, verifier := f.Approve(s.Principal)
		if err := f.Providers.Remove(t.Context(), owner.As(owner.Actor("", "")), "acme"); err != nil {
			t.Fatal(err)
		}
		f.Void(device, code, verifier)
	})
}

// A stranger may have signed up with the address, and know the account's password; the provider's sign-in locks them out.
func TestUnverifiedAccountIsTakenOver(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.WithProvider(f.Person("olga@a.test", "acme", bridge.RoleOwner))
		squatter := f.Person("bob@a.test", "squat", bridge.RoleOwner)
		if _, err := f.SQL.ExecContext(t.Context(), "UPDATE users SET verified_at = 0 WHERE email = 'bob@a.test'"); err != nil {
			t.Fatal(err)
		}
		s, err := f.Providers.Finish(t.Context(), p, storetest.Vouch("bob@a.test"), audit.Actor{})
		if err != nil || s.Principal.UserID != squatter.UserID || s.Principal.Org != "acme" || s.Principal.Provider != p.ID {
			t.Fatalf("%+v %v", s.Principal, err)
		}
		if _, err := f.SignIn.Authenticate(t.Context(), signin.Login{Email: "bob@a.test", Password: bridge.NewSecret(storetest.Password)}, audit.Actor{}); bridge.CodeOf(err) != "login_failed" {
			t.Errorf("the squatter's password still opens the account: %v", err)
		}
		if _, err := f.Sessions.SessionByID(t.Context(), squatter.SessionID); bridge.CodeOf(err) != "session_ended" {
			t.Errorf("the squatter's session lives on: %v", err)
		}
		if _, err := f.Sessions.SessionByID(t.Context(), s.Principal.SessionID); err != nil {
			t.Errorf("the new session: %v", err)
		}
	})
}

// Any number of first sign-ins at once make one person and one member.
func TestFirstSignInsRace(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.WithProvider(f.Person("olga@a.test", "acme", bridge.RoleOwner))
		var wg sync.WaitGroup
		users := make(chan string, 8)
		for range cap(users) {
			wg.Go(func() {
				s, err := f.Providers.Finish(t.Context(), p, storetest.Vouch("bob@a.test"), audit.Actor{})
				if err == nil {
					users <- s.Principal.UserID
				} else if bridge.CodeOf(err) != "signin_raced" {
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		close(users)
		seen := map[string]bool{}
		for id := range users {
			seen[id] = true
		}
		if len(seen) != 1 {
			t.Errorf("%d people", len(seen))
		}
	})
}

// If the provider makes two owners members at once, one of them stays an owner.
func TestLastOwnerStays(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		olga := f.Person("olga@a.test", "acme", bridge.RoleOwner)
		f.Person("otto@a.test", "acme", bridge.RoleOwner)
		p := f.WithProvider(olga)
		if err := f.Providers.Set(t.Context(), olga.As(audit.Actor{}), "acme", api.ProviderSettings{Issuer: p.Issuer, ClientID: p.ClientID, Domains: []string{storetest.Domain},
			GroupRoles: map[string]string{"staff": "member"}}, true); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, email := range []string{"olga@a.test", "otto@a.test"} {
			wg.Go(func() {
				who := storetest.Vouch(email)
				who.Groups = []string{"staff"}
				if _, err := f.Providers.Finish(t.Context(), p, who, audit.Actor{}); err != nil {
					t.Errorf("%s: %v", email, err)
				}
			})
		}
		wg.Wait()
		owners := 0
		if err := f.SQL.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM members WHERE role = 'owner'").Scan(&owners); err != nil || owners != 1 {
			t.Errorf("%d owners are left (%v)", owners, err)
		}
	})
}

func TestProviderSecretIsRotated(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		older, newer := storetest.NewKeys(t), storetest.NewKeys(t)
		f.Open(older)
		owner := f.Person("olga@a.test", "acme", bridge.RoleOwner)
		f.WithProvider(owner)
		f.Open(bridge.NewSecret(newer.Reveal() + "," + older.Reveal()))
		if n, err := f.Vault.RotateEncryptionKey(t.Context(), func(int, int) {}); n != 1 || err != nil {
			t.Fatalf("%d rows rotated (%v)", n, err)
		}
		f.Open(newer)
		if p, _, err := f.Providers.Of(t.Context(), owner, "acme"); err != nil || p.ClientSecret.Reveal() != storetest.ProviderSecret {
			t.Errorf("with the new key alone: %v", err)
		}
	})
}

// A request that began as an admin or owner is refused if the role changes meanwhile.
func TestProviderIsSetByTheRoleOfNow(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		olga, ann := f.Person("olga@a.test", "acme", bridge.RoleOwner), f.Person("ann@a.test", "acme", bridge.RoleOwner)
		invitation, _, _ := f.Invite(ann, api.NewInvitation{})
		if code := f.ChangeRole(olga, ann, "viewer"); code != "" {
			t.Fatal(code)
		}
		err := f.Providers.Set(t.Context(), ann.As(ann.Actor("", "")), "acme", api.ProviderSettings{Issuer: "https://evil.test", ClientID: "ace",
			ClientSecret: new(bridge.NewSecret(storetest.ProviderSecret).Disclose()), Domains: []string{storetest.Domain}, DefaultRole: "member"}, true)
		if bridge.CodeOf(err) != "role_admin" {
			t.Errorf("somebody who was an owner sets the provider: %v", err)
		}
		f.WithProvider(olga)
		if err := f.Providers.Remove(t.Context(), ann.As(ann.Actor("", "")), "acme"); bridge.CodeOf(err) != "role_admin" {
			t.Errorf("somebody who was an owner removes the provider: %v", err)
		}
		if err := f.Accounts.Withdraw(t.Context(), ann.As(ann.Actor("", "")), "acme", invitation.ID); bridge.CodeOf(err) != "role_admin" {
			t.Errorf("somebody who was an owner withdraws an invitation: %v", err)
		}
	})
}
