package registry_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/signin"
)

// code is what an app shows some steps from now.
func (f *fixture) code(e factors.Enrolment, steps int) string {
	f.t.Helper()
	code, err := totp.GenerateCode(e.Secret.Reveal(), f.clock().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		f.t.Fatal(err)
	}
	return code
}

// enrol turns on two-factor authentication, which uses up the code of this step.
func (f *fixture) enrol(p accounts.Principal) (factors.Enrolment, []bridge.Secret) {
	f.t.Helper()
	e, err := f.Factors.Begin(f.t.Context(), p.As(p.Actor("", "")), bridge.NewSecret(password))
	if err != nil {
		f.t.Fatal(err)
	}
	codes, err := f.Factors.Confirm(f.t.Context(), p.As(p.Actor("", "")), f.code(e, 0))
	if err != nil || len(codes) != 10 {
		f.t.Fatalf("%d recovery codes (%v)", len(codes), err)
	}
	return e, codes
}

// mailed takes the mails that are due, and forgets them.
func (f *fixture) mailed() []outbox.Mail {
	f.t.Helper()
	due, err := f.Outbox.DueMail(f.t.Context(), 100)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, m := range due {
		if err := f.Outbox.MailDone(f.t.Context(), m.ID); err != nil {
			f.t.Fatal(err)
		}
	}
	return due
}

// link is the token of the link in the one mail that is due and has one.
func (f *fixture) link(purpose string) bridge.Secret {
	f.t.Helper()
	for _, m := range f.mailed() {
		if _, after, ok := strings.Cut(m.Text.Reveal(), string(issuer)+"/"+purpose+"?token="); ok {
			token, _, _ := strings.Cut(after, "\n")
			return bridge.NewSecret(token)
		}
	}
	f.t.Fatalf("no mail has a link to %s", purpose)
	return bridge.Secret{}
}

func (f *fixture) try(email, pass string, device bridge.Secret, address string) error {
	_, err := f.SignIn.Authenticate(f.t.Context(), signin.Login{Email: email, Password: bridge.NewSecret(pass), Device: device}, audit.Actor{Address: address})
	return err
}

// outcomes are those of an action in the log, oldest first.
func (f *fixture) outcomes(org, action string) []string {
	f.t.Helper()
	entries, _, err := audit.List(f.t.Context(), f.db, audit.Query{Org: org, Action: action})
	if err != nil {
		f.t.Fatal(err)
	}
	var out []string
	for i := len(entries) - 1; i >= 0; i-- {
		out = append(out, entries[i].Outcome+entries[i].Details["locked"])
	}
	return out
}

// race runs n tries at the same time and counts their codes.
func race(n int, try func() error) map[bridge.Code]int {
	codes := make(chan bridge.Code, n)
	for range n {
		go func() { codes <- bridge.CodeOf(try()) }()
	}
	out := map[bridge.Code]int{}
	for range n {
		out[<-codes]++
	}
	return out
}

func TestCodesAreUsedOnce(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		e, codes := f.enrol(p)
		u := accounts.User{ID: p.UserID, Email: p.Email}
		check := func(code string) error {
			return f.Factors.CheckOTP(context.Background(), u, code, bridge.Secret{}, audit.Actor{})
		}
		if got := bridge.CodeOf(check(f.code(e, 0))); got != "otp_used" {
			t.Errorf("the code that confirmed it is taken again: %q", got)
		}
		f.advance(30 * time.Second)
		code := f.code(e, 0)
		if got := race(4, func() error { return check(code[:3] + " " + code[3:]) }); got[""] != 1 || got["otp_used"]+got["too_many_requests"] != 3 {
			t.Errorf("four logins with one code: %v", got)
		}
		if got := bridge.CodeOf(check(f.code(e, -1))); got != "otp_used" {
			t.Errorf("the code of the step before, after a later one: %q", got)
		}
		if err := check(f.code(e, 1)); err != nil {
			t.Errorf("an app whose clock is fast: %v", err)
		}
		f.advance(2 * time.Minute)
		if err := check(f.code(e, -1)); err != nil {
			t.Errorf("an app whose clock is slow: %v", err)
		}
		for name, code := range map[string]string{"two steps ahead": f.code(e, 2), "empty": "", "a wrong recovery code": "AAAA-BBBB-CCCC-DDDD"} {
			f.advance(time.Hour)
			if got := bridge.CodeOf(check(code)); got != "otp_invalid" {
				t.Errorf("%s: %q", name, got)
			}
		}
		f.advance(time.Hour)
		recovery := strings.ToLower(codes[3].Reveal())
		if got := race(2, func() error { return check(recovery) }); got[""] != 1 {
			t.Errorf("two logins with one recovery code: %v", got)
		}
		account, err := f.Accounts.Account(t.Context(), p.UserID)
		if err != nil || !account.TwoFactor || account.RecoveryCodes != 9 {
			t.Errorf("%+v (%v)", account, err)
		}
	})
}

func TestTOTPIsTurnedOnAndOff(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		ctx, by, right := t.Context(), p.Actor("", ""), bridge.NewSecret(password)
		if _, err := f.Factors.Begin(ctx, p.As(by), bridge.NewSecret("wrong")); bridge.CodeOf(err) != "password_wrong" {
			t.Errorf("begun without the password: %v", err)
		}
		e, err := f.Factors.Begin(ctx, p.As(by), right)
		if err != nil {
			t.Fatal(err)
		}
		if u, err := f.SignIn.Authenticate(ctx, signin.Login{Email: p.Email, Password: right}, audit.Actor{}); err != nil || u.TwoFactor {
			t.Errorf("an enrolment that is not confirmed is asked for: %+v (%v)", u, err)
		}
		if _, err := f.Factors.Confirm(ctx, p.As(by), "000000"); bridge.CodeOf(err) != "otp_invalid" {
			t.Errorf("confirmed by a wrong code: %v", err)
		}
		again, err := f.Factors.Pending(ctx, p)
		if err != nil || !again.Secret.Equal(e.Secret) || again.URI.Reveal() != "otpauth://totp/ace%20cloud.example.com:ann@a.test?issuer=ace%20cloud.example.com&secret="+e.Secret.Reveal() {
			t.Errorf("the enrolment that goes on: %v", err)
		}
		other, err := f.Sessions.OpenSession(ctx, p.UserID, "acme", accounts.MethodDevice, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		old, err := f.Factors.Confirm(ctx, p.As(by), f.code(e, 0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Sessions.SessionByID(ctx, other.Principal.SessionID); err == nil {
			t.Error("a session without the second factor lives on")
		}
		if u, err := f.SignIn.Authenticate(ctx, signin.Login{Email: p.Email, Password: right}, audit.Actor{}); err != nil || !u.TwoFactor {
			t.Errorf("it is on, and not asked for: %+v (%v)", u, err)
		}
		if _, err := f.Factors.Begin(ctx, p.As(by), right); bridge.CodeOf(err) != "totp_on" {
			t.Errorf("a second enrolment over the first: %v", err)
		}
		if err := f.Factors.Disable(ctx, p.As(by), right, "000000"); bridge.CodeOf(err) != "otp_invalid" {
			t.Errorf("turned off without a code: %v", err)
		}
		fresh, err := f.Factors.RenewRecoveryCodes(ctx, p.As(by), right, old[0].Reveal())
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Factors.Disable(ctx, p.As(by), right, old[1].Reveal()); bridge.CodeOf(err) != "otp_invalid" {
			t.Errorf("an old recovery code lives on: %v", err)
		}
		if err := f.Factors.Disable(ctx, p.As(by), bridge.NewSecret("wrong"),
			fresh[0].Reveal()); bridge.CodeOf(err) != "password_wrong" {
			t.Errorf("turned off without the password: %v", err)
		}
		if err := f.Factors.Disable(ctx, p.As(by), right, fresh[0].Reveal()); err != nil {
			t.Fatal(err)
		}
		if account, err := f.Accounts.Account(ctx, p.UserID); err != nil || account.TwoFactor || account.RecoveryCodes != 0 {
			t.Errorf("after it was turned off: %+v (%v)", account, err)
		}
	})
}

func TestSecondStep(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		e, _ := f.enrol(p)
		begin := func() bridge.Secret {
			t.Helper()
			pending, err := f.SignIn.BeginSecondStep(t.Context(), accounts.User{ID: p.UserID, Email: p.Email}, audit.Actor{})
			if err != nil {
				t.Fatal(err)
			}
			return pending
		}
		finish := func(pending bridge.Secret, code string) bridge.Code {
			_, err := f.SignIn.FinishSecondStep(context.Background(), pending, code, bridge.Secret{}, audit.Actor{})
			return bridge.CodeOf(err)
		}
		f.advance(time.Hour)
		pending := begin()
		if got := finish(pending, "000000"); got != "otp_invalid" {
			t.Errorf("a wrong code: %q", got)
		}
		code := f.code(e, 0)
		if got := race(2, func() error {
			_, err := f.SignIn.FinishSecondStep(context.Background(), pending, code, bridge.Secret{}, audit.Actor{})
			return err
		}); got[""] != 1 {
			t.Errorf("one step is finished twice: %v", got)
		}
		if got := finish(pending, f.code(e, 1)); got != bridge.CodeLoginExpired {
			t.Errorf("a finished step: %q", got)
		}
		late := begin()
		f.advance(signin.PendingLife)
		if got := finish(late, f.code(e, 0)); got != bridge.CodeLoginExpired {
			t.Errorf("after five minutes: %q", got)
		}
		guessed := begin()
		got := ""
		for range 6 {
			got = string(finish(guessed, "000000"))
		}
		if bridge.Code(got) != bridge.CodeLoginExpired {
			t.Errorf("the sixth guess: %q", got)
		}
		if got := finish(begin(), f.code(e, 0)); got != "too_many_requests" {
			t.Errorf("a new step after five wrong codes: %q", got)
		}
		if got := finish(bridge.NewSecret("x"), "1"); got != bridge.CodeLoginExpired {
			t.Errorf("an unknown step: %q", got)
		}
	})
}

func TestReset(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		ctx := t.Context()
		ask := func() bridge.Secret {
			t.Helper()
			if err := f.Links.RequestReset(ctx, "Ann@a.test", audit.Actor{Address: "192.0.2.1"}); err != nil {
				t.Fatal(err)
			}
			return f.link(signin.PurposeReset)
		}
		first, second := ask(), ask()
		use := func(token bridge.Secret) error {
			return f.Links.ResetPassword(context.Background(), token, bridge.NewSecret("another horse battery"), false, audit.Actor{})
		}
		if err := f.Links.Check(ctx, signin.PurposeReset, first); err != nil {
			t.Errorf("a fresh link: %v", err)
		}
		if err := f.Links.VerifyEmail(ctx, first, bridge.NewSecret(password), audit.Actor{}); bridge.CodeOf(err) != "link_invalid" {
			t.Errorf("a link to reset verifies: %v", err)
		}
		if err := f.Links.ResetPassword(ctx, first, bridge.NewSecret("short"), false,
			audit.Actor{}); bridge.CodeOf(err) != "password_length" {
			t.Errorf("a short password: %v", err)
		}
		if got := race(4, func() error { return use(first) }); got[""] != 1 || got["link_invalid"] != 3 {
			t.Errorf("four uses of one link: %v", got)
		}
		if got := bridge.CodeOf(use(second)); got != "link_invalid" {
			t.Errorf("the other link lives on: %q", got)
		}
		if _, err := f.Sessions.SessionByID(ctx, p.SessionID); bridge.CodeOf(err) != "session_ended" {
			t.Errorf("the session lives on: %v", err)
		}
		if err := f.try(p.Email, password, bridge.Secret{}, ""); bridge.CodeOf(err) != "login_failed" {
			t.Errorf("the old password: %v", err)
		}
		if err := f.try(p.Email, "another horse battery", bridge.Secret{}, ""); err != nil {
			t.Errorf("the new password: %v", err)
		}
		if got := f.mailed(); len(got) != 1 || !strings.Contains(got[0].Subject, "changed") {
			t.Errorf("the notice: %v", got)
		}
		late := ask()
		f.advance(time.Hour)
		if got := bridge.CodeOf(use(late)); got != "link_invalid" {
			t.Errorf("after an hour: %q", got)
		}
		if got := f.outcomes("acme", "password.reset"); len(got) != 1 {
			t.Errorf("the log has %d resets", len(got))
		}
	})
}

// Somebody who has made an account with another's address keeps nothing of it once the other has set a password; a second
// factor of one's own outlives a reset.
func TestResetOfASquattedAccount(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		f.enrol(p)
		f.mailed()
		for _, c := range []struct {
			verified int64
			on       bool
		}{{1, true}, {0, false}} {
			if _, err := f.db.ExecContext(t.Context(), "UPDATE users SET verified_at = $1", c.verified); err != nil {
				t.Fatal(err)
			}
			if err := f.Links.RequestReset(t.Context(), p.Email, audit.Actor{}); err != nil {
				t.Fatal(err)
			}
			if err := f.Links.ResetPassword(t.Context(), f.link(signin.PurposeReset), bridge.NewSecret(password), false, audit.Actor{}); err != nil {
				t.Fatal(err)
			}
			u, err := f.SignIn.Authenticate(t.Context(), signin.Login{Email: p.Email, Password: bridge.NewSecret(password)}, audit.Actor{})
			if err != nil || u.TwoFactor != c.on {
				t.Errorf("verified %d: a second factor is asked for: %v (%v)", c.verified, u.TwoFactor, err)
			}
		}
	})
}

// A stranger can neither learn whether there is an account nor fill its mailbox.
func TestResetForStrangers(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.person("ann@a.test", "acme", bridge.RoleMember)
		for range 7 {
			for _, email := range []string{"ann@a.test", "nobody@a.test"} {
				if err := f.Links.RequestReset(t.Context(), email, audit.Actor{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := f.mailed(); len(got) != 5 {
			t.Errorf("seven wishes of each made %d mails", len(got))
		}
		if err := f.Links.RequestReset(t.Context(), "x\r\nBcc: evil@b.test", audit.Actor{}); bridge.CodeOf(err) != "email_malformed" {
			t.Errorf("a header in the address: %v", err)
		}
	})
}

func TestVerification(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		if err := f.Links.StartVerification(t.Context(), p.UserID, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if got := f.mailed(); len(got) != 0 {
			t.Errorf("somebody who is verified is written to: %v", got)
		}
		if _, err := f.db.ExecContext(t.Context(), "UPDATE users SET verified_at = 0"); err != nil {
			t.Fatal(err)
		}
		if err := f.try(p.Email, password, bridge.Secret{}, ""); bridge.CodeOf(err) != bridge.CodeEmailUnverified {
			t.Errorf("somebody who is not verified signs in: %v", err)
		}
		if err := f.try(p.Email, "wrong", bridge.Secret{}, ""); bridge.CodeOf(err) != "login_failed" {
			t.Errorf("a wrong password tells that there is such an account: %v", err)
		}
		if err := f.Links.StartVerification(t.Context(), p.UserID, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		token := f.link(signin.PurposeVerify)
		if err := f.Links.VerifyEmail(t.Context(), token, bridge.NewSecret("another horse battery"),
			audit.Actor{}); bridge.CodeOf(err) != "password_wrong" {
			t.Errorf("an account of somebody else's is confirmed: %v", err)
		}
		if err := f.Links.VerifyEmail(t.Context(), token, bridge.NewSecret(password), audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if err := f.Links.VerifyEmail(t.Context(), token, bridge.NewSecret(password),
			audit.Actor{}); bridge.CodeOf(err) != "link_invalid" {
			t.Errorf("a link verifies twice: %v", err)
		}
		if err := f.try(p.Email, password, bridge.Secret{}, ""); err != nil {
			t.Errorf("after the verification: %v", err)
		}
	})
}

func TestLockout(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		mine, none := bridge.NewSecret(bridge.RandomToken(32)), bridge.Secret{}
		if err := f.Lockout.KnowDevice(t.Context(), p.UserID, mine, "198.51.100.1"); err != nil {
			t.Fatal(err)
		}
		const far = "203.0.113.1"
		waits := map[string]string{}
		for _, email := range []string{p.Email, "nobody@a.test"} {
			for range 5 {
				if err := f.try(email, "wrong", none, far); bridge.CodeOf(err) != "login_failed" {
					t.Errorf("%s: %v", email, err)
				}
			}
			err := f.try(email, password, none, far)
			waits[email] = fmt.Sprint(bridge.CodeOf(err), bridge.AsError(err).RetryAfter)
		}
		if waits[p.Email] != "too_many_requests1m0s" || waits[p.Email] != waits["nobody@a.test"] {
			t.Errorf("after five wrong passwords: %v", waits)
		}
		if err := f.try(p.Email, password, mine, far); err != nil {
			t.Errorf("a known browser is locked out: %v", err)
		}
		if err := f.try(p.Email, password, none, "198.51.100.1"); err != nil {
			t.Errorf("a known network is locked out: %v", err)
		}
		if err := f.try(p.Email, password, bridge.NewSecret(bridge.RandomToken(32)), far); bridge.CodeOf(err) != "too_many_requests" {
			t.Errorf("an invented device passes: %v", err)
		}
		want := []string{"ok", "login_failed", "login_failed", "login_failed", "login_failed", "login_failedtoo many wrong tries"}
		if diff := cmp.Diff(want, f.outcomes("acme", "session.open")); diff != "" {
			t.Errorf("the log: %s", diff)
		}
		for _, wait := range []time.Duration{time.Minute, time.Minute, 5 * time.Minute, 5 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
			if got := bridge.AsError(f.try(p.Email, "wrong", none, far)).RetryAfter; got != wait {
				t.Errorf("the wait is %v, want %v", got, wait)
			}
			f.advance(wait)
			if err := f.try(p.Email, "wrong", none, far); bridge.CodeOf(err) != "login_failed" {
				t.Errorf("after the wait: %v", err)
			}
		}
		f.advance(15 * time.Minute)
		if err := f.try(p.Email, password, none, far); err != nil {
			t.Errorf("the right password after the wait: %v", err)
		}
		if err := f.try(p.Email, "wrong", none, far); bridge.CodeOf(err) != "login_failed" {
			t.Errorf("a success does not start the count anew: %v", err)
		}
		if got := race(12, func() error { return f.try(p.Email, "wrong", none, far) }); got["login_failed"] != 4 {
			t.Errorf("twelve guesses at the same time: %v", got)
		}
		if err := f.Links.RequestReset(t.Context(), p.Email, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if err := f.Links.ResetPassword(t.Context(), f.link(signin.PurposeReset), bridge.NewSecret(password), false, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if err := f.try(p.Email, password, none, far); err != nil {
			t.Errorf("after a reset: %v", err)
		}
	})
}

func TestChangePassword(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		other, err := f.Sessions.OpenSession(t.Context(), p.UserID, "acme", accounts.MethodDevice, audit.Actor{UserAgent: "x\xff\x00" + strings.Repeat("y", 400)})
		if err != nil {
			t.Fatal(err)
		}
		change := func(old, fresh string) bridge.Code {
			return bridge.CodeOf(f.Passwords.Change(t.Context(), p.As(p.Actor("", "")), bridge.NewSecret(old),
				bridge.NewSecret(fresh)))
		}
		if got := change("wrong", "another horse battery"); got != "password_wrong" {
			t.Errorf("without the old one: %q", got)
		}
		list, err := f.Sessions.Sessions(t.Context(), p)
		if err != nil || len(list) != 2 || list[0].ID != other.Principal.SessionID || list[0].Current || !list[1].Current || len(list[0].UserAgent) > 210 {
			t.Fatalf("the sessions: %+v (%v)", list, err)
		}
		if got := change(password, "another horse battery"); got != "" {
			t.Fatal(got)
		}
		if list, err := f.Sessions.Sessions(t.Context(), p); err != nil || len(list) != 1 || !list[0].Current {
			t.Errorf("the sessions after it: %+v (%v)", list, err)
		}
		if _, err := f.Sessions.RefreshSession(t.Context(), other.Refresh, audit.Actor{}); bridge.CodeOf(err) != "invalid_grant" {
			t.Errorf("the refresh token of an ended session: %v", err)
		}
		if err := f.try(p.Email, "another horse battery", bridge.Secret{}, ""); err != nil {
			t.Error(err)
		}
		for range 6 {
			if got := change("wrong", "yet another horse"); got == "too_many_requests" {
				return
			}
		}
		t.Error("an open session may guess the password for ever")
	})
}

func TestSwitchSession(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		rival := f.person("rival@b.test", "rival", bridge.RoleOwner)
		if _, err := f.Sessions.SwitchSession(t.Context(), p.As(audit.Actor{}), "rival"); bridge.CodeOf(err) != "not_a_member" {
			t.Errorf("into another's organization: %v", err)
		}
		if _, err := f.db.ExecContext(t.Context(), "INSERT INTO members (org_id, user_id, role, joined_at) VALUES ($1, $2, 'viewer', 0)",
			rival.OrgID, p.UserID); err != nil {
			t.Fatal(err)
		}
		moved, err := f.Sessions.SwitchSession(t.Context(), p.As(p.Actor("", "")), "rival")
		if err != nil || moved.Org != "rival" || moved.Role != bridge.RoleViewer || moved.SessionID != p.SessionID || moved.Moves != p.Moves+1 {
			t.Errorf("%+v (%v)", moved, err)
		}
		if _, err := f.Sessions.SwitchSession(t.Context(), p.As(audit.Actor{}), "acme"); bridge.CodeOf(err) != "session_ended" {
			t.Errorf("with what was known before the switch: %v", err)
		}
		if err := f.Sessions.EndSessionByID(t.Context(), moved.As(audit.Actor{}),
			rival.SessionID); bridge.CodeOf(err) != "session_unknown" {
			t.Errorf("another's session is ended: %v", err)
		}
		if err := f.Sessions.EndSessions(t.Context(), moved.As(moved.Actor("", "")), true); err != nil {
			t.Error(err)
		}
		if _, err := f.Sessions.SessionByID(t.Context(), p.SessionID); bridge.CodeOf(err) != "session_ended" {
			t.Errorf("the session lives on: %v", err)
		}
	})
}

func TestProfile(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		text := func(s string) *string { return &s }
		a, err := f.Accounts.PatchAccount(t.Context(), p.As(p.Actor("", "")), api.ProfilePatch{Name: text("Ann"), Country: text("de"), Currency: text("eur")})
		if err != nil || a.Name != "Ann" || a.Country != "DE" || a.Currency != "EUR" {
			t.Errorf("%+v (%v)", a, err)
		}
		for name, c := range map[string]struct {
			patch api.ProfilePatch
			code  bridge.Code
		}{
			"no name": {api.ProfilePatch{Name: text("")}, "name_malformed"}, "a control character": {api.ProfilePatch{Name: text("a\x07")}, "name_malformed"},
			"no country": {api.ProfilePatch{Country: text("ZZ")}, "country_unknown"}, "a continent": {api.ProfilePatch{Country: text("150")}, "country_unknown"},
			"no currency": {api.ProfilePatch{Currency: text("ABC")}, "currency_unknown"},
		} {
			if _, err := f.Accounts.PatchAccount(t.Context(), p.As(p.Actor("", "")), c.patch); bridge.CodeOf(err) != c.code {
				t.Errorf("%s: %v", name, err)
			}
		}
		if a, err := f.Accounts.PatchAccount(t.Context(), p.As(p.Actor("", "")), api.ProfilePatch{Country: text("")}); err != nil || a.Country != "" || a.Currency != "EUR" {
			t.Errorf("%+v (%v)", a, err)
		}
	})
}

// A mail that could not be handed over comes again, later each time; two processes do not send one twice; a mail whose
// time is over is given up, and purged.
func TestOutbox(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.person("ann@a.test", "acme", bridge.RoleMember)
		if err := f.Links.RequestReset(t.Context(), "ann@a.test", audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-f.Outbox.MailQueued():
		default:
			t.Error("nobody is told that there is mail")
		}
		taken := make(chan int, 4)
		for range cap(taken) {
			go func() {
				due, err := f.Outbox.DueMail(context.Background(), 10)
				if err != nil {
					t.Error(err)
				}
				taken <- len(due)
			}()
		}
		sum := 0
		for range cap(taken) {
			sum += <-taken
		}
		if sum != 1 {
			t.Errorf("one mail is sent %d times", sum)
		}
		text := ""
		for _, wait := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
			f.advance(wait - time.Second)
			if due, err := f.Outbox.DueMail(t.Context(), 10); err != nil || len(due) != 0 {
				t.Errorf("too early: %v (%v)", due, err)
			}
			f.advance(time.Second)
			due, err := f.Outbox.DueMail(t.Context(), 10)
			if err != nil || len(due) != 1 {
				t.Fatalf("it does not come again: %v (%v)", due, err)
			}
			if text == "" {
				text = due[0].Text.Reveal()
			}
			if due[0].Text.Reveal() != text || !strings.Contains(text, "/reset?token=") {
				t.Error("it comes again with another link")
			}
		}
		f.advance(time.Hour)
		if due, err := f.Outbox.DueMail(t.Context(), 10); err != nil || len(due) != 0 {
			t.Errorf("after its time: %v (%v)", due, err)
		}
		f.advance(25 * time.Hour)
		if err := f.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"outbox", "mail_tokens"} {
			var n int
			if err := f.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d rows of %s are left (%v)", n, table, err)
			}
		}
	})
}

// A session that goes back to the sign-in provider of one organization reaches neither the password, nor the second factor,
// nor other organizations.
func TestProviderSessionReachesNoFurther(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		rival := f.person("rival@b.test", "rival", bridge.RoleOwner)
		if _, err := f.db.ExecContext(t.Context(), "INSERT INTO members (org_id, user_id, role, joined_at) VALUES ($1, $2, 'viewer', 0)",
			rival.OrgID, p.UserID); err != nil {
			t.Fatal(err)
		}
		elsewhere, err := f.Sessions.OpenSession(t.Context(), p.UserID, "rival", accounts.MethodDevice, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		p.Provider = "some-provider"
		ctx, by, right, name := t.Context(), p.Actor("", ""), bridge.NewSecret(password), "Ann"
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

// Somebody without a password, who signs in through their organization, cannot be signed in with one, nor set one.
func TestNoPassword(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		if _, err := f.db.ExecContext(t.Context(), "UPDATE users SET password = ''"); err != nil {
			t.Fatal(err)
		}
		if err := f.try(p.Email, "", bridge.Secret{}, ""); bridge.CodeOf(err) != "login_failed" {
			t.Errorf("the empty password: %v", err)
		}
		if _, err := f.Factors.Begin(t.Context(), p.As(p.Actor("", "")), bridge.NewSecret("")); bridge.CodeOf(err) != "no_password" {
			t.Errorf("two-factor: %v", err)
		}
		if err := f.Links.RequestReset(t.Context(), p.Email, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if got := f.mailed(); len(got) != 1 || strings.Contains(got[0].Text.Reveal(), "token=") {
			t.Error("somebody without a password is sent a link")
		}
	})
}

// What was approved before a new password is redeemed by nobody after it: it may have been somebody else who approved.
func TestNewPasswordVoidsApprovals(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		device, code, verifier := f.approve(p)
		if err := f.Links.RequestReset(t.Context(), p.Email, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if err := f.Links.ResetPassword(t.Context(), f.link(signin.PurposeReset), bridge.NewSecret("another horse battery"), false, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		f.void(device, code, verifier)
	})
}

func TestSignOutEverywhereVoidsApprovals(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		device, code, verifier := f.approve(p)
		if err := f.Sessions.EndSessions(t.Context(), p.As(p.Actor("", "")), true); err != nil {
			t.Fatal(err)
		}
		f.void(device, code, verifier)
	})
}

// Whoever comes back to an organization finds nothing there of what they approved before they left.
func TestRemovalVoidsApprovals(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, p := f.person("own@a.test", "acme", bridge.RoleOwner), f.person("ann@a.test", "acme", bridge.RoleMember)
		device, code, verifier := f.approve(p)
		if _, err := f.Accounts.RemoveMember(t.Context(), owner.As(owner.Actor("", "")), "acme", p.UserID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.db.ExecContext(t.Context(), "INSERT INTO members (org_id, user_id, role, joined_at) VALUES ($1, $2, 'member', 0)",
			p.OrgID, p.UserID); err != nil {
			t.Fatal(err)
		}
		f.void(device, code, verifier)
	})
}

func TestRemovedProviderVoidsApprovals(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner := f.person("own@a.test", "acme", bridge.RoleOwner)
		provider := f.withProvider(owner)
		s, err := f.Providers.Finish(t.Context(), provider, vouch("bob@a.test"), audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		device, code, verifier := f.approve(s.Principal)
		if err := f.Providers.Remove(t.Context(), owner.As(owner.Actor("", "")), "acme"); err != nil {
			t.Fatal(err)
		}
		f.void(device, code, verifier)
	})
}

// approve approves a device login and a request for an authorization code.
func (f *fixture) approve(p accounts.Principal) (device, code, verifier bridge.Secret) {
	f.t.Helper()
	d, err := f.Sessions.StartDevice(f.t.Context(), accounts.DeviceStart{ClientID: "cli"})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.Sessions.DecideDevice(f.t.Context(), p.As(p.Actor("", "")), d.UserCode, true); err != nil {
		f.t.Fatal(err)
	}
	verifier = bridge.NewSecret(strings.Repeat("v", 43))
	sum := sha256.Sum256([]byte(verifier.Reveal()))
	code, err = f.Sessions.IssueCode(f.t.Context(), p.As(p.Actor("", "")), accounts.CodeGrant{ClientID: "cli", RedirectURI: "http://127.0.0.1:1/",
		Challenge: base64.RawURLEncoding.EncodeToString(sum[:])})
	if err != nil {
		f.t.Fatal(err)
	}
	return d.DeviceCode, code, verifier
}

// void wants that nobody can redeem what was approved.
func (f *fixture) void(device, code, verifier bridge.Secret) {
	f.t.Helper()
	_, err := f.Sessions.PollDevice(f.t.Context(), accounts.DevicePoll{Code: device, ClientID: "cli"}, audit.Actor{})
	if bridge.CodeOf(err) != "access_denied" {
		f.t.Errorf("the device login was redeemed: %v", err)
	}
	_, err = f.Sessions.RedeemCode(f.t.Context(), code, verifier, "cli", "http://127.0.0.1:1/", audit.Actor{})
	if bridge.CodeOf(err) != "invalid_grant" {
		f.t.Errorf("the code was redeemed: %v", err)
	}
}

func TestLoginWithWhatIsNoAddress(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for _, email := range []string{"", "a\x00@a.test", "\xff@a.test", strings.Repeat("a", 60000) + "@a.test"} {
			if err := f.try(email, password, bridge.Secret{}, "192.0.2.9"); bridge.CodeOf(err) != "login_failed" {
				t.Errorf("%.20q: %v", email, err)
			}
		}
		if got := accounts.LoginEmail(" Ann@A.test "); got != "ann@a.test" {
			t.Errorf("the address is counted as %q", got)
		}
	})
}
