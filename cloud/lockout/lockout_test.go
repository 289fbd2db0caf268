package lockout_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/signin"
)

func TestLockout(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		mine, none := bridge.NewSecret(bridge.RandomToken(32)), bridge.Secret{}
		if err := f.Lockout.KnowDevice(t.Context(), p.UserID, mine, "198.51.100.1"); err != nil {
			t.Fatal(err)
		}
		const far = "203.0.113.1"
		waits := map[string]string{}
		for _, email := range []string{p.Email, "nobody@a.test"} {
			for range 5 {
				if err := f.Try(email, "wrong", none, far); bridge.CodeOf(err) != "login_failed" {
					t.Errorf("%s: %v", email, err)
				}
			}
			err := f.Try(email, storetest.Password, none, far)
			waits[email] = fmt.Sprint(bridge.CodeOf(err), bridge.AsError(err).RetryAfter)
		}
		if waits[p.Email] != "too_many_requests1m0s" || waits[p.Email] != waits["nobody@a.test"] {
			t.Errorf("after five wrong passwords: %v", waits)
		}
		if err := f.Try(p.Email, storetest.Password, mine, far); err != nil {
			t.Errorf("a known browser is locked out: %v", err)
		}
		if err := f.Try(p.Email, storetest.Password, none, "198.51.100.1"); err != nil {
			t.Errorf("a known network is locked out: %v", err)
		}
		if err := f.Try(p.Email, storetest.Password, bridge.NewSecret(bridge.RandomToken(32)), far); bridge.CodeOf(err) != "too_many_requests" {
			t.Errorf("an invented device passes: %v", err)
		}
		want := []string{"ok", "login_failed", "login_failed", "login_failed", "login_failed", "login_failedtoo many wrong tries"}
		if diff := cmp.Diff(want, f.Outcomes("acme", "session.open")); diff != "" {
			t.Errorf("the log: %s", diff)
		}
		for _, wait := range []time.Duration{time.Minute, time.Minute, 5 * time.Minute, 5 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
			if got := bridge.AsError(f.Try(p.Email, "wrong", none, far)).RetryAfter; got != wait {
				t.Errorf("the wait is %v, want %v", got, wait)
			}
			f.Advance(wait)
			if err := f.Try(p.Email, "wrong", none, far); bridge.CodeOf(err) != "login_failed" {
				t.Errorf("after the wait: %v", err)
			}
		}
		f.Advance(15 * time.Minute)
		if err := f.Try(p.Email, storetest.Password, none, far); err != nil {
			t.Errorf("the right password after the wait: %v", err)
		}
		if err := f.Try(p.Email, "wrong", none, far); bridge.CodeOf(err) != "login_failed" {
			t.Errorf("a success does not start the count anew: %v", err)
		}
		if got := storetest.Race(12, func() error { return f.Try(p.Email, "wrong", none, far) }); got["login_failed"] != 4 {
			t.Errorf("twelve guesses at the same time: %v", got)
		}
		if err := f.Links.RequestReset(t.Context(), p.Email, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if err := f.Links.ResetPassword(t.Context(), f.Link(signin.PurposeReset), bridge.NewSecret(storetest.Password), false, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if err := f.Try(p.Email, storetest.Password, none, far); err != nil {
			t.Errorf("after a reset: %v", err)
		}
	})
}

func TestLoginWithWhatIsNoAddress(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for _, email := range []string{"", "a\x00@a.test", "\xff@a.test", strings.Repeat("a", 60000) + "@a.test"} {
			if err := f.Try(email, storetest.Password, bridge.Secret{}, "192.0.2.9"); bridge.CodeOf(err) != "login_failed" {
				t.Errorf("%.20q: %v", email, err)
			}
		}
		if got := accounts.LoginEmail(" Ann@A.test "); got != "ann@a.test" {
			t.Errorf("the address is counted as %q", got)
		}
	})
}
