package factors_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/signin"
)

func TestCodesAreUsedOnce(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		e, codes := f.Enrol(p)
		u := accounts.User{ID: p.UserID, Email: p.Email}
		check := func(code string) error {
			return f.Factors.CheckOTP(context.Background(), u, code, bridge.Secret{}, audit.Actor{})
		}
		if got := bridge.CodeOf(check(f.TOTP(e, 0))); got != "otp_used" {
			t.Errorf("the code that confirmed it is taken again: %q", got)
		}
		f.Advance(30 * time.Second)
		code := f.TOTP(e, 0)
		if got := storetest.Race(4, func() error { return check(code[:3] + " " + code[3:]) }); got[""] != 1 || got["otp_used"]+got["too_many_requests"] != 3 {
			t.Errorf("four logins with one code: %v", got)
		}
		if got := bridge.CodeOf(check(f.TOTP(e, -1))); got != "otp_used" {
			t.Errorf("the code of the step before, after a later one: %q", got)
		}
		if err := check(f.TOTP(e, 1)); err != nil {
			t.Errorf("an app whose clock is fast: %v", err)
		}
		f.Advance(2 * time.Minute)
		if err := check(f.TOTP(e, -1)); err != nil {
			t.Errorf("an app whose clock is slow: %v", err)
		}
		for name, code := range map[string]string{"two steps ahead": f.TOTP(e, 2), "empty": "", "a wrong recovery code": "AAAA-BBBB-CCCC-DDDD"} {
			f.Advance(time.Hour)
			if got := bridge.CodeOf(check(code)); got != "otp_invalid" {
				t.Errorf("%s: %q", name, got)
			}
		}
		f.Advance(time.Hour)
		recovery := strings.ToLower(codes[3].Reveal())
		if got := storetest.Race(2, func() error { return check(recovery) }); got[""] != 1 {
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
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		ctx, by, right := t.Context(), p.Actor("", ""), bridge.NewSecret(storetest.Password)
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
		old, err := f.Factors.Confirm(ctx, p.As(by), f.TOTP(e, 0))
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
