package signin_test

import (
	"context"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/signin"
)

func TestSecondStep(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		e, _ := f.Enrol(p)
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
		f.Advance(time.Hour)
		pending := begin()
		if got := finish(pending, "000000"); got != "otp_invalid" {
			t.Errorf("a wrong code: %q", got)
		}
		code := f.TOTP(e, 0)
		if got := storetest.Race(2, func() error {
			_, err := f.SignIn.FinishSecondStep(context.Background(), pending, code, bridge.Secret{}, audit.Actor{})
			return err
		}); got[""] != 1 {
			t.Errorf("one step is finished twice: %v", got)
		}
		if got := finish(pending, f.TOTP(e, 1)); got != bridge.CodeLoginExpired {
			t.Errorf("a finished step: %q", got)
		}
		late := begin()
		f.Advance(signin.PendingLife)
		if got := finish(late, f.TOTP(e, 0)); got != bridge.CodeLoginExpired {
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
		if got := finish(begin(), f.TOTP(e, 0)); got != "too_many_requests" {
			t.Errorf("a new step after five wrong codes: %q", got)
		}
		if got := finish(bridge.NewSecret("x"), "1"); got != bridge.CodeLoginExpired {
			t.Errorf("an unknown step: %q", got)
		}
	})
}
