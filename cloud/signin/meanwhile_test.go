package signin_test

import (
	"sync"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/signin"
)

// A sign-in that is under way when its account changes opens nothing: what it has shown does not hold any more.
func TestAccountChangesDuringSignIn(t *testing.T) {
	const fresh = "another horse battery"
	for name, change := range map[string]func(f *fixture, p accounts.Principal) error{
		"a reset": func(f *fixture, p accounts.Principal) error {
			f.Mailed()
			if err := f.Links.RequestReset(f.T.Context(), p.Email, audit.Actor{}); err != nil {
				return err
			}
			return f.Links.ResetPassword(f.T.Context(), f.Link(signin.PurposeReset), bridge.NewSecret(fresh), true, audit.Actor{})
		},
		"a new password": func(f *fixture, p accounts.Principal) error {
			return f.Passwords.Change(f.T.Context(), p.As(audit.Actor{}), bridge.NewSecret(storetest.Password), bridge.NewSecret(fresh))
		},
		"a second factor": func(f *fixture, p accounts.Principal) error { f.Enrol(p); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, f *fixture) {
				ctx, p := t.Context(), f.Person("ann@a.test", "acme", bridge.RoleOwner)
				login := signin.Login{Email: p.Email, Password: bridge.NewSecret(storetest.Password)}
				who, err := f.SignIn.Authenticate(ctx, login, audit.Actor{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := f.SignIn.SignIn(ctx, who.User, "", accounts.MethodBrowser, audit.Actor{}); err != nil {
					t.Errorf("before: %v", err)
				}
				if err := change(f, p); err != nil {
					t.Fatal(err)
				}
				for _, method := range []string{accounts.MethodBrowser, accounts.MethodPassword} {
					if _, err := f.SignIn.SignIn(ctx, who.User, "", method, audit.Actor{}); bridge.CodeOf(err) != bridge.CodeLoginExpired {
						t.Errorf("%s after it: %v", method, err)
					}
				}
				if name == "a second factor" {
					return // the password is as it was: a second step may begin
				}
				if _, err := f.SignIn.BeginSecondStep(ctx, who.User, audit.Actor{}); bridge.CodeOf(err) != bridge.CodeLoginExpired {
					t.Errorf("a second step after it: %v", err)
				}
			})
		})
	}
}

// Both steps of a sign-in open a session, and neither of them does so by itself.
func TestBothSteps(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx, p := t.Context(), f.Person("ann@a.test", "acme", bridge.RoleOwner)
		e, _ := f.Enrol(p)
		who, err := f.SignIn.Authenticate(ctx, signin.Login{Email: p.Email, Password: bridge.NewSecret(storetest.Password)}, audit.Actor{})
		if err != nil || !who.TwoFactor {
			t.Fatalf("%+v %v", who, err)
		}
		if _, err := f.SignIn.SignIn(ctx, who.User, "", accounts.MethodBrowser,
			audit.Actor{}); bridge.CodeOf(err) != bridge.CodeLoginExpired {
			t.Errorf("the password alone: %v", err)
		}
		pending, err := f.SignIn.BeginSecondStep(ctx, who.User, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		f.Advance(30 * time.Second)
		u, err := f.SignIn.FinishSecondStep(ctx, pending, f.TOTP(e, 0), bridge.Secret{}, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.SignIn.SignIn(ctx, u, "", accounts.MethodBrowser, audit.Actor{}); err != nil {
			t.Errorf("both: %v", err)
		}
	})
}

// Of sign-ins at the same time as a reset no session is left, whichever of them comes first.
func TestSignInRacesReset(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx, p := t.Context(), f.Person("ann@a.test", "acme", bridge.RoleOwner)
		who, err := f.SignIn.Authenticate(ctx, signin.Login{Email: p.Email, Password: bridge.NewSecret(storetest.Password)}, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		f.Mailed()
		if err := f.Links.RequestReset(ctx, p.Email, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		token := f.Link(signin.PurposeReset)
		var wg sync.WaitGroup
		opened := make(chan accounts.Session, 8)
		for range cap(opened) {
			wg.Go(func() {
				s, err := f.SignIn.SignIn(ctx, who.User, "", accounts.MethodBrowser, audit.Actor{})
				if err == nil {
					opened <- s
				} else if bridge.CodeOf(err) != bridge.CodeLoginExpired {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			if err := f.Links.ResetPassword(ctx, token, bridge.NewSecret("another horse battery"), true, audit.Actor{}); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		close(opened)
		for s := range opened {
			if _, err := f.Sessions.BrowserSession(ctx, s.Cookie); err == nil {
				t.Error("a session of the old password lives on")
			}
		}
	})
}
