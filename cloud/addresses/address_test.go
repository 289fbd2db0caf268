package addresses_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/providers"
	"github.com/acebridge/ace/cloud/signin"
)

const newAddress = "ann@new.test"

// askAddress asks for another address and returns the links that are mailed to the new one and to the old one.
func (f *fixture) askAddress(p accounts.Principal, to string) (confirm, stop bridge.Secret) {
	f.T.Helper()
	f.Mailed()
	if _, err := f.Addresses.Ask(f.T.Context(), p.As(p.Actor("", "")), addresses.Request{Email: to, Password: bridge.NewSecret(storetest.Password)}); err != nil {
		f.T.Fatal(err)
	}
	for _, m := range f.Mailed() {
		path, link := addresses.StopPath, &stop
		if m.To != p.Email {
			path, link = addresses.Path, &confirm
		}
		_, after, ok := strings.Cut(m.Text.Reveal(), string(storetest.Issuer)+path+"?token=")
		token, _, _ := strings.Cut(after, "\n")
		if !ok || m.To != p.Email && (m.To != to || strings.Contains(m.Text.Reveal(), p.Email)) {
			f.T.Errorf("to %s: %s", m.To, m.Text.Reveal())
		}
		*link = bridge.NewSecret(token)
	}
	return confirm, stop
}

// confirm opens the link to a new address, and returns the code of the refusal.
func (f *fixture) confirm(p accounts.Principal, token bridge.Secret) bridge.Code {
	f.T.Helper()
	if s, err := f.Sessions.OpenSession(f.T.Context(), p.UserID, p.Org, accounts.MethodBrowser, audit.Actor{}); err == nil {
		p = s.Principal // what was void before has ended the other
	}
	s, err := f.Addresses.Confirm(f.T.Context(), p.As(p.Actor("", "")), token)
	if err == nil {
		if again, err := f.Sessions.BrowserSession(f.T.Context(), s.Cookie); err != nil || again.UserID != p.UserID || again.Org != p.Org {
			f.T.Errorf("the session after it: %+v %v", again, err)
		}
	}
	return bridge.CodeOf(err)
}

func (f *fixture) emailOf(p accounts.Principal) (email string) {
	f.T.Helper()
	if err := f.SQL.QueryRowContext(f.T.Context(), "SELECT email FROM users WHERE id = $1", p.UserID).Scan(&email); err != nil {
		f.T.Fatal(err)
	}
	return email
}

func TestChangeOfAddress(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ann := f.Person("ann@a.test", "acme", bridge.RoleOwner)
		_, codes := f.Enrol(ann)
		for _, n := range []addresses.Request{{Email: newAddress, Password: bridge.NewSecret(storetest.Password)},
			{Email: newAddress, Password: bridge.NewSecret(storetest.Password), OTP: "000000"}} {
			if _, err := f.Addresses.Ask(t.Context(), ann.As(ann.Actor("", "")), n); bridge.AsError(err).Kind != bridge.Forbidden {
				t.Errorf("without the second factor: %v", err)
			}
		}
		f.Mailed()
		if _, err := f.Addresses.Ask(t.Context(), ann.As(ann.Actor("", "")), addresses.Request{Email: "Ann@NEW.test", Password: bridge.NewSecret(storetest.Password),
			OTP: codes[0].Reveal()}); err != nil {
			t.Fatal(err)
		}
		token := f.Link("address")
		if pending, err := f.Addresses.Pending(t.Context(), ann); err != nil || pending.To != newAddress || !pending.ExpiresAt.Equal(f.Clock().Add(addresses.Life).UTC()) {
			t.Errorf("%+v %v", pending, err)
		}
		for range 2 { // a program that scans mail comes first
			if _, err := f.Addresses.Offered(t.Context(), token, false); err != nil {
				t.Errorf("opened: %v", err)
			}
		}
		if code := f.confirm(ann, token); code != "" || f.emailOf(ann) != newAddress {
			t.Fatalf("%q %s", code, f.emailOf(ann))
		}
		if mails := f.Mailed(); len(mails) != 1 || mails[0].To != "ann@a.test" || !strings.Contains(mails[0].Text.Reveal(), newAddress) {
			t.Errorf("the old address is told: %v", mails)
		}
		if code := f.confirm(ann, token); code != "link_invalid" {
			t.Errorf("twice: %q", code)
		}
		if err := f.Try("ann@a.test", storetest.Password, bridge.Secret{}, ""); bridge.CodeOf(err) != "login_failed" {
			t.Errorf("the old address signs in: %v", err)
		}
		who, err := f.SignIn.Authenticate(t.Context(), signin.Login{Email: newAddress, Password: bridge.NewSecret(storetest.Password)}, audit.Actor{})
		if err != nil || !who.TwoFactor || who.ID != ann.UserID {
			t.Errorf("the new one: %+v %v", who, err)
		}
	})
}

// A change that waits is void by all that says that the account's person wants another thing.
func TestWaitingAddressIsVoid(t *testing.T) {
	type state struct {
		*fixture
		p, owner accounts.Principal
		stop     bridge.Secret
	}
	cases := map[string]func(s state) error{ // each with a person of its own
		"a reset": func(s state) error {
			s.Mailed()
			if err := s.Links.RequestReset(s.T.Context(), s.p.Email, audit.Actor{}); err != nil {
				return err
			}
			return s.Links.ResetPassword(s.T.Context(), s.Link(signin.PurposeReset), bridge.NewSecret(storetest.Password), true, audit.Actor{})
		},
		"a new password": func(s state) error {
			return s.Passwords.Change(s.T.Context(), s.p.As(audit.Actor{}), bridge.NewSecret(storetest.Password), bridge.NewSecret(storetest.Password))
		},
		"another change": func(s state) error { s.askAddress(s.p, "other@new.test"); return nil },
		"a removal": func(s state) error {
			_, err := s.Accounts.RemoveMember(s.T.Context(), s.owner.As(audit.Actor{}), "acme", s.p.UserID)
			return err
		},
		"the link to the old address": func(s state) error { return s.Addresses.Stop(s.T.Context(), s.stop, audit.Actor{}) },
		"its person":                  func(s state) error { return s.Addresses.Cancel(s.T.Context(), s.p.As(audit.Actor{})) },
		"a day":                       func(s state) error { s.Advance(addresses.Life); return nil },
		"the operator": func(s state) error {
			_, err := s.Addresses.Set(s.T.Context(), s.p.Email, "third@new.test", audit.Actor{ID: "operator"})
			return err
		},
	}
	each(t, func(t *testing.T, f *fixture) {
		owner := f.Person("olga@a.test", "acme", bridge.RoleOwner)
		for name, void := range cases {
			at := strings.ReplaceAll(name, " ", "-")
			s := state{fixture: f, owner: owner, p: f.Person(at+"@a.test", "acme", bridge.RoleMember)}
			var token bridge.Secret
			token, s.stop = f.askAddress(s.p, at+"@new.test")
			if err := void(s); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want := "link_invalid"
			if name == "a removal" { // there is nobody to confirm it
				want = "session_ended"
			}
			if code := f.confirm(s.p, token); code != bridge.Code(want) || f.emailOf(s.p) == at+"@new.test" {
				t.Errorf("%s: %q %s", name, code, f.emailOf(s.p))
			}
			if err := f.Addresses.Stop(t.Context(), s.stop, audit.Actor{}); bridge.CodeOf(err) != "link_invalid" {
				t.Errorf("%s: stopped again: %v", name, err)
			}
		}
	})
}

func TestAddressRefusals(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		olga, ann := f.Person("olga@a.test", "acme", bridge.RoleOwner), f.Person("ann@a.test", "acme", bridge.RoleMember)
		ask := func(p accounts.Principal, to, pass string) bridge.Code {
			t.Helper()
			_, err := f.Addresses.Ask(ctx, p.As(p.Actor("", "")), addresses.Request{Email: to, Password: bridge.NewSecret(pass)})
			return bridge.CodeOf(err)
		}
		for _, c := range []struct {
			to, pass string
			want     bridge.Code
		}{
			{"ann@a.test", storetest.Password, "address_same"}, {"Ann@A.test", storetest.Password, "address_same"}, {"ann", storetest.Password, "email_malformed"},
			{newAddress, "wrong", "password_wrong"},
		} {
			if got := ask(ann, c.to, c.pass); got != c.want {
				t.Errorf("%s: %q, want %q", c.to, got, c.want)
			}
		}
		// Who has an account already is not told when it is asked for, and nothing changes when it is confirmed.
		token, _ := f.askAddress(ann, "olga@a.test")
		if code := f.confirm(olga, token); code != "link_invalid" {
			t.Errorf("by another account: %q", code)
		}
		if code := f.confirm(ann, token); code != "address_taken" || f.emailOf(ann) != "ann@a.test" {
			t.Errorf("an address that is taken: %q %s", code, f.emailOf(ann))
		}
		if _, err := f.Sessions.SessionByID(ctx, ann.SessionID); err != nil {
			t.Errorf("a refused change ends the session: %v", err)
		}
		if _, err := f.Addresses.Set(ctx, "ann@a.test", "olga@a.test",
			audit.Actor{ID: "operator"}); bridge.CodeOf(err) != "address_taken" {
			t.Errorf("by the operator: %v", err)
		}
		// One that somebody else has signed up with and never proven is nobody's.
		squatter := f.Person("squat@a.test", "squat", bridge.RoleOwner)
		f.Exec("UPDATE users SET verified_at = 0 WHERE id = $1", squatter.UserID)
		token, _ = f.askAddress(ann, "squat@a.test")
		if code := f.confirm(ann, token); code != "" || f.emailOf(ann) != "squat@a.test" {
			t.Errorf("an address that nobody has proven: %q", code)
		}
		if _, err := f.Sessions.SessionByID(ctx, squatter.SessionID); err == nil {
			t.Error("the squatter's session lives on")
		}
		who, err := f.SignIn.Authenticate(ctx, signin.Login{Email: "squat@a.test", Password: bridge.NewSecret(storetest.Password)}, audit.Actor{})
		if err != nil || who.ID != ann.UserID {
			t.Errorf("%+v %v", who, err)
		}
		ann, err = f.Sessions.SessionByID(ctx, f.sessionOf(ann))
		if err != nil {
			t.Fatal(err)
		}
		for i := 2; i < 5; i++ {
			if got := ask(ann, newAddress, storetest.Password); got != "" {
				t.Errorf("change %d: %q", i, got)
			}
		}
		if got := ask(ann, newAddress, storetest.Password); got != "too_many_requests" {
			t.Errorf("one too many: %q", got)
		}
	})
}

// sessionOf opens a session of somebody whose last one has ended.
func (f *fixture) sessionOf(p accounts.Principal) string {
	f.T.Helper()
	s, err := f.Sessions.OpenSession(f.T.Context(), p.UserID, p.Org, accounts.MethodBrowser, audit.Actor{})
	if err != nil {
		f.T.Fatal(err)
	}
	return s.Principal.SessionID
}

// The address of an account that a sign-in provider knows is the provider's to change.
func TestAddressOfAProvider(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.WithProvider(f.Person("olga@a.test", "acme", bridge.RoleOwner))
		f.Person("ann@a.test", "acme", bridge.RoleMember)
		for email, hint := range map[string]string{"bob@a.test": "sign in through acme again", "ann@a.test": "ace cloud user set-address"} {
			s, err := f.Providers.Finish(t.Context(), p, storetest.Vouch(email), audit.Actor{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.Addresses.Ask(t.Context(), s.Principal.As(audit.Actor{}), addresses.Request{Email: newAddress, Password: bridge.NewSecret(storetest.Password)})
			if e := bridge.AsError(err); e.Code != "address_of_provider" || !strings.Contains(e.Hint, hint) {
				t.Errorf("%s: %v, %s", email, err, e.Hint)
			}
		}
		for _, c := range []struct{ subject, email, want, why string }{
			{"bob@a.test", "olga@a.test", "bob@a.test", "another account has it"},
			{"ann@a.test", "ann2@a.test", "ann@a.test", "the account has a password, and reaches further"},
			{"bob@a.test", "bob2@a.test", "bob2@a.test", "the provider's own"},
		} {
			s, err := f.Providers.Finish(t.Context(), p, providers.Vouched{Subject: c.subject, Email: c.email, EmailVerified: true}, audit.Actor{})
			if err != nil || s.Principal.Email != c.want {
				t.Errorf("%s: %s %v, want %s: %s", c.subject, s.Principal.Email, err, c.want, c.why)
			}
		}
	})
}

// However many confirm at once, and while the member is removed, the account has one address, and nothing of before works.
func TestAddressRaces(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		olga := f.Person("olga@a.test", "acme", bridge.RoleOwner)
		for round, with := range []func(p accounts.Principal){
			func(accounts.Principal) {},
			func(p accounts.Principal) {
				if _, err := f.Accounts.RemoveMember(t.Context(), olga.As(audit.Actor{}), "acme", p.UserID); err != nil {
					t.Error(err)
				}
			},
		} {
			name := string(rune('a' + round))
			ann := f.Person(name+"@a.test", "acme", bridge.RoleMember)
			token, _ := f.askAddress(ann, name+"@new.test")
			f.Advance(time.Second)
			var wg sync.WaitGroup
			codes := make(chan string, 4)
			for range cap(codes) {
				wg.Go(func() {
					_, err := f.Addresses.Confirm(t.Context(), ann.As(audit.Actor{}), token)
					codes <- string(bridge.CodeOf(err))
				})
			}
			wg.Go(func() { with(ann) })
			wg.Wait()
			close(codes)
			done := 0
			for code := range codes {
				switch code {
				case "":
					done++
				case "link_invalid", "session_ended", "not_a_member":
				default:
					t.Errorf("refused with %q", code)
				}
			}
			if want := map[bool]string{true: name + "@new.test", false: name + "@a.test"}[done == 1]; done > 1 || f.emailOf(ann) != want {
				t.Errorf("%d confirmed, and the address is %s", done, f.emailOf(ann))
			}
			if _, err := f.Sessions.SessionByID(t.Context(), ann.SessionID); err == nil {
				t.Error("the session from before lives on")
			}
			if round == 1 {
				if list, err := f.Sessions.OpenSession(t.Context(), ann.UserID, "acme", accounts.MethodDevice, audit.Actor{}); err == nil {
					t.Errorf("somebody who is removed comes in: %+v", list.Principal)
				}
			}
		}
	})
}
