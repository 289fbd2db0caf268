package registry_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"sync"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/providers"
	"github.com/acebridge/ace/cloud/signin"
)

const (
	providerSecret = "the provider's client secret"
	domain         = "a.test"
)

// withProvider sets a provider of acme, as its owner, and takes up a sign-in there.
func (f *fixture) withProvider(owner accounts.Principal) providers.Provider {
	f.t.Helper()
	secret := bridge.NewSecret(providerSecret).Disclose()
	if err := f.Providers.Set(f.t.Context(), owner.As(owner.Actor("", "")), "acme", api.ProviderSettings{Issuer: "https://login.a.test", ClientID: "ace",
		ClientSecret: &secret, Domains: []string{domain}, DefaultRole: "member"}, true); err != nil {
		f.t.Fatal(err)
	}
	s, err := f.Providers.Begin(f.t.Context(), "bob@"+domain, "/")
	if err != nil {
		f.t.Fatal(err)
	}
	if s, err = f.Providers.Take(f.t.Context(), s.Cookie, s.State(), "acme"); err != nil || s.Provider.ClientSecret.Reveal() != providerSecret {
		f.t.Fatalf("%+v %v", s, err)
	}
	return s.Provider
}

func vouch(email string) providers.Vouched {
	return providers.Vouched{Subject: email, Email: email, EmailVerified: true}
}

// Somebody may have signed up with an address that is not theirs, and wait for its owner with a password that they know.
func TestUnverifiedAccountIsTakenOver(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.withProvider(f.person("olga@a.test", "acme", bridge.RoleOwner))
		squatter := f.person("bob@a.test", "squat", bridge.RoleOwner)
		if _, err := f.db.ExecContext(t.Context(), "UPDATE users SET verified_at = 0 WHERE email = 'bob@a.test'"); err != nil {
			t.Fatal(err)
		}
		s, err := f.Providers.Finish(t.Context(), p, vouch("bob@a.test"), audit.Actor{})
		if err != nil || s.Principal.UserID != squatter.UserID || s.Principal.Org != "acme" || s.Principal.Provider != p.ID {
			t.Fatalf("%+v %v", s.Principal, err)
		}
		if _, err := f.SignIn.Authenticate(t.Context(), signin.Login{Email: "bob@a.test", Password: bridge.NewSecret(password)}, audit.Actor{}); bridge.CodeOf(err) != "login_failed" {
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

// However many sign in at once for the first time, there is one person and one member.
func TestFirstSignInsRace(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.withProvider(f.person("olga@a.test", "acme", bridge.RoleOwner))
		var wg sync.WaitGroup
		users := make(chan string, 8)
		for range cap(users) {
			wg.Go(func() {
				s, err := f.Providers.Finish(t.Context(), p, vouch("bob@a.test"), audit.Actor{})
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

// Two owners whom the provider makes members at once: one of them stays.
func TestLastOwnerStays(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		olga := f.person("olga@a.test", "acme", bridge.RoleOwner)
		f.person("otto@a.test", "acme", bridge.RoleOwner)
		p := f.withProvider(olga)
		if err := f.Providers.Set(t.Context(), olga.As(audit.Actor{}), "acme", api.ProviderSettings{Issuer: p.Issuer, ClientID: p.ClientID, Domains: []string{domain},
			GroupRoles: map[string]string{"staff": "member"}}, true); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, email := range []string{"olga@a.test", "otto@a.test"} {
			wg.Go(func() {
				who := vouch(email)
				who.Groups = []string{"staff"}
				if _, err := f.Providers.Finish(t.Context(), p, who, audit.Actor{}); err != nil {
					t.Errorf("%s: %v", email, err)
				}
			})
		}
		wg.Wait()
		owners := 0
		if err := f.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM members WHERE role = 'owner'").Scan(&owners); err != nil || owners != 1 {
			t.Errorf("%d owners are left (%v)", owners, err)
		}
	})
}

func TestProviderSecretIsRotated(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		older, newer := newKeys(t), newKeys(t)
		f.open(older)
		owner := f.person("olga@a.test", "acme", bridge.RoleOwner)
		f.withProvider(owner)
		f.open(bridge.NewSecret(newer.Reveal() + "," + older.Reveal()))
		if n, err := f.Vault.RotateEncryptionKey(t.Context(), func(int, int) {}); n != 1 || err != nil {
			t.Fatalf("%d rows rotated (%v)", n, err)
		}
		f.open(newer)
		if p, _, err := f.Providers.Of(t.Context(), owner, "acme"); err != nil || p.ClientSecret.Reveal() != providerSecret {
			t.Errorf("with the new key alone: %v", err)
		}
	})
}

// Whoever is not a member any more is nobody to any grant that was under way.
func TestRemovedMemberGetsNothing(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		s, err := f.Sessions.OpenSession(t.Context(), p.UserID, "acme", accounts.MethodDevice, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := f.Sessions.StartDevice(t.Context(), accounts.DeviceStart{ClientID: "cli"})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Sessions.DecideDevice(t.Context(), p.As(audit.Actor{}), d.UserCode, true); err != nil {
			t.Fatal(err)
		}
		const verifier = "a verifier of forty-three or more characters, as it must"
		sum := sha256.Sum256([]byte(verifier))
		code, err := f.Sessions.IssueCode(t.Context(), p.As(audit.Actor{}), accounts.CodeGrant{ClientID: "cli", RedirectURI: "x",
			Challenge: base64.RawURLEncoding.EncodeToString(sum[:])})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.db.ExecContext(t.Context(), "DELETE FROM members WHERE user_id = $1", p.UserID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Sessions.RefreshSession(t.Context(), s.Refresh, audit.Actor{}); bridge.CodeOf(err) != "invalid_grant" {
			t.Errorf("a refresh: %v", err)
		}
		if _, err := f.Sessions.PollDevice(t.Context(), accounts.DevicePoll{Code: d.DeviceCode, ClientID: "cli"}, audit.Actor{}); bridge.CodeOf(err) != "not_a_member" {
			t.Errorf("a device login: %v", err)
		}
		if _, err := f.Sessions.RedeemCode(t.Context(), code, bridge.NewSecret(verifier), "cli", "x", audit.Actor{}); bridge.CodeOf(err) != "invalid_grant" || !strings.Contains(err.Error(), "not a member") {
			t.Errorf("a code: %v", err)
		}
	})
}

// A request that began as an admin's or owner's does not end as one.
func TestProviderIsSetByTheRoleOfNow(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		olga, ann := f.person("olga@a.test", "acme", bridge.RoleOwner), f.person("ann@a.test", "acme", bridge.RoleOwner)
		invitation, _, _ := f.invite(ann, api.NewInvitation{})
		if code := f.role(olga, ann, "viewer"); code != "" {
			t.Fatal(code)
		}
		err := f.Providers.Set(t.Context(), ann.As(ann.Actor("", "")), "acme", api.ProviderSettings{Issuer: "https://evil.test", ClientID: "ace",
			ClientSecret: new(bridge.NewSecret(providerSecret).Disclose()), Domains: []string{domain}, DefaultRole: "member"}, true)
		if bridge.CodeOf(err) != "role_admin" {
			t.Errorf("somebody who was an owner sets the provider: %v", err)
		}
		f.withProvider(olga)
		if err := f.Providers.Remove(t.Context(), ann.As(ann.Actor("", "")), "acme"); bridge.CodeOf(err) != "role_admin" {
			t.Errorf("somebody who was an owner removes the provider: %v", err)
		}
		if err := f.Accounts.Withdraw(t.Context(), ann.As(ann.Actor("", "")), "acme", invitation.ID); bridge.CodeOf(err) != "role_admin" {
			t.Errorf("somebody who was an owner withdraws an invitation: %v", err)
		}
	})
}
