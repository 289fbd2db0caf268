package signin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/signin"
)

func TestReset(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		ctx := t.Context()
		ask := func() bridge.Secret {
			t.Helper()
			if err := f.Links.RequestReset(ctx, "Ann@a.test", audit.Actor{Address: "192.0.2.1"}); err != nil {
				t.Fatal(err)
			}
			return f.Link(signin.PurposeReset)
		}
		first, second := ask(), ask()
		use := func(token bridge.Secret) error {
			return f.Links.ResetPassword(context.Background(), token, bridge.NewSecret("another horse battery"), false, audit.Actor{})
		}
		if err := f.Links.Check(ctx, signin.PurposeReset, first); err != nil {
			t.Errorf("a fresh link: %v", err)
		}
		if err := f.Links.VerifyEmail(ctx, first, bridge.NewSecret(storetest.Password), audit.Actor{}); bridge.CodeOf(err) != "link_invalid" {
			t.Errorf("a link to reset verifies: %v", err)
		}
		if err := f.Links.ResetPassword(ctx, first, bridge.NewSecret("short"), false,
			audit.Actor{}); bridge.CodeOf(err) != "password_length" {
			t.Errorf("a short password: %v", err)
		}
		if got := storetest.Race(4, func() error { return use(first) }); got[""] != 1 || got["link_invalid"] != 3 {
			t.Errorf("four uses of one link: %v", got)
		}
		if got := bridge.CodeOf(use(second)); got != "link_invalid" {
			t.Errorf("the other link lives on: %q", got)
		}
		if _, err := f.Sessions.SessionByID(ctx, p.SessionID); bridge.CodeOf(err) != "session_ended" {
			t.Errorf("the session lives on: %v", err)
		}
		if err := f.Try(p.Email, storetest.Password, bridge.Secret{}, ""); bridge.CodeOf(err) != "login_failed" {
			t.Errorf("the old password: %v", err)
		}
		if err := f.Try(p.Email, "another horse battery", bridge.Secret{}, ""); err != nil {
			t.Errorf("the new password: %v", err)
		}
		if got := f.Mailed(); len(got) != 1 || !strings.Contains(got[0].Subject, "changed") {
			t.Errorf("the notice: %v", got)
		}
		late := ask()
		f.Advance(time.Hour)
		if got := bridge.CodeOf(use(late)); got != "link_invalid" {
			t.Errorf("after an hour: %q", got)
		}
		if got := f.Outcomes("acme", "password.reset"); len(got) != 1 {
			t.Errorf("the log has %d resets", len(got))
		}
	})
}

// Somebody who has made an account with another's address keeps nothing of it once the other has set a password; a second
// factor of one's own outlives a reset.
func TestResetOfASquattedAccount(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		f.Enrol(p)
		f.Mailed()
		for _, c := range []struct {
			verified int64
			on       bool
		}{{1, true}, {0, false}} {
			if _, err := f.SQL.ExecContext(t.Context(), "UPDATE users SET verified_at = $1", c.verified); err != nil {
				t.Fatal(err)
			}
			if err := f.Links.RequestReset(t.Context(), p.Email, audit.Actor{}); err != nil {
				t.Fatal(err)
			}
			if err := f.Links.ResetPassword(t.Context(), f.Link(signin.PurposeReset), bridge.NewSecret(storetest.Password), false, audit.Actor{}); err != nil {
				t.Fatal(err)
			}
			u, err := f.SignIn.Authenticate(t.Context(), signin.Login{Email: p.Email, Password: bridge.NewSecret(storetest.Password)}, audit.Actor{})
			if err != nil || u.TwoFactor != c.on {
				t.Errorf("verified %d: a second factor is asked for: %v (%v)", c.verified, u.TwoFactor, err)
			}
		}
	})
}

// A stranger can neither learn whether there is an account nor fill its mailbox.
func TestResetForStrangers(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.Person("ann@a.test", "acme", bridge.RoleMember)
		for range 7 {
			for _, email := range []string{"ann@a.test", "nobody@a.test"} {
				if err := f.Links.RequestReset(t.Context(), email, audit.Actor{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := f.Mailed(); len(got) != 5 {
			t.Errorf("seven wishes of each made %d mails", len(got))
		}
		if err := f.Links.RequestReset(t.Context(), "x\r\nBcc: evil@b.test", audit.Actor{}); bridge.CodeOf(err) != "email_malformed" {
			t.Errorf("a header in the address: %v", err)
		}
	})
}

func TestVerification(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		if err := f.Links.StartVerification(t.Context(), p.UserID, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if got := f.Mailed(); len(got) != 0 {
			t.Errorf("somebody who is verified is written to: %v", got)
		}
		if _, err := f.SQL.ExecContext(t.Context(), "UPDATE users SET verified_at = 0"); err != nil {
			t.Fatal(err)
		}
		if err := f.Try(p.Email, storetest.Password, bridge.Secret{}, ""); bridge.CodeOf(err) != bridge.CodeEmailUnverified {
			t.Errorf("somebody who is not verified signs in: %v", err)
		}
		if err := f.Try(p.Email, "wrong", bridge.Secret{}, ""); bridge.CodeOf(err) != "login_failed" {
			t.Errorf("a wrong password tells that there is such an account: %v", err)
		}
		if err := f.Links.StartVerification(t.Context(), p.UserID, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		token := f.Link(signin.PurposeVerify)
		if err := f.Links.VerifyEmail(t.Context(), token, bridge.NewSecret("another horse battery"),
			audit.Actor{}); bridge.CodeOf(err) != "password_wrong" {
			t.Errorf("an account of somebody else's is confirmed: %v", err)
		}
		if err := f.Links.VerifyEmail(t.Context(), token, bridge.NewSecret(storetest.Password), audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if err := f.Links.VerifyEmail(t.Context(), token, bridge.NewSecret(storetest.Password),
			audit.Actor{}); bridge.CodeOf(err) != "link_invalid" {
			t.Errorf("a link verifies twice: %v", err)
		}
		if err := f.Try(p.Email, storetest.Password, bridge.Secret{}, ""); err != nil {
			t.Errorf("after the verification: %v", err)
		}
	})
}

// Somebody without a password, who signs in through their organization, cannot be signed in with one, nor set one.
func TestNoPassword(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		if _, err := f.SQL.ExecContext(t.Context(), "UPDATE users SET password = ''"); err != nil {
			t.Fatal(err)
		}
		if err := f.Try(p.Email, "", bridge.Secret{}, ""); bridge.CodeOf(err) != "login_failed" {
			t.Errorf("the empty password: %v", err)
		}
		if _, err := f.Factors.Begin(t.Context(), p.As(p.Actor("", "")), bridge.NewSecret("")); bridge.CodeOf(err) != "no_password" {
			t.Errorf("two-factor: %v", err)
		}
		if err := f.Links.RequestReset(t.Context(), p.Email, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if got := f.Mailed(); len(got) != 1 || strings.Contains(got[0].Text.Reveal(), "token=") {
			t.Error("somebody without a password is sent a link")
		}
	})
}

// What was approved before a new password is redeemed by nobody after it: it may have been somebody else who approved.
func TestNewPasswordVoidsApprovals(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		device, code, verifier := f.Approve(p)
		if err := f.Links.RequestReset(t.Context(), p.Email, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if err := f.Links.ResetPassword(t.Context(), f.Link(signin.PurposeReset), bridge.NewSecret("another horse battery"), false, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		f.Void(device, code, verifier)
	})
}
