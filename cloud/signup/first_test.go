package signup_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/signup"
)

func (f *fixture) offerFirst(email string) bridge.Secret {
	f.T.Helper()
	link, ok, err := f.SignUp.OfferFirst(f.T.Context(), email)
	if err != nil || !ok {
		f.T.Fatalf("%v %v", ok, err)
	}
	_, token, _ := strings.Cut(link.Reveal(), "token=")
	return bridge.NewSecret(token)
}

func first(org string) signup.First {
	return signup.First{Name: "Olga", Org: org, Password: bridge.NewSecret(storetest.Password)}
}

// The first person of a fresh cloud is whom the operator names, once, whatever is tried at the same time.
func TestFirstPerson(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		if _, _, err := f.SignUp.OfferFirst(ctx, "nobody"); bridge.CodeOf(err) != "email_malformed" {
			t.Errorf("%v", err)
		}
		old := f.offerFirst("old@a.test")
		f.Advance(signup.FirstLife)
		tokens := []bridge.Secret{f.offerFirst("olga@a.test"), f.offerFirst("Olga@a.test")} // two replicas start
		if mails := f.Mailed(); len(mails) != 2 || mails[0].To != "olga@a.test" || !strings.Contains(mails[0].Text.Reveal(), "/first?token=") {
			t.Errorf("%v", mails)
		}
		for name, c := range map[string]struct {
			token bridge.Secret
			first signup.First
			want  bridge.Code
		}{
			"an old link":      {old, first("acme"), "link_invalid"},
			"no link":          {bridge.Secret{}, first("acme"), "link_invalid"},
			"no organization":  {tokens[0], first("A B"), "organization_malformed"},
			"a short password": {tokens[0], signup.First{Name: "Olga", Org: "acme", Password: bridge.NewSecret("short")}, "password_length"},
			"no name":          {tokens[0], signup.First{Org: "acme", Password: bridge.NewSecret(storetest.Password)}, "name_malformed"},
		} {
			if _, err := f.SignUp.MakeFirst(ctx, c.token, c.first, audit.Actor{}); bridge.CodeOf(err) != c.want {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var made []accounts.Session
		for i := range 6 {
			wg.Go(func() {
				s, err := f.SignUp.MakeFirst(ctx, tokens[i%2], first("acme"), audit.Actor{})
				if err != nil && bridge.CodeOf(err) != "link_invalid" {
					t.Error(err)
				}
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					made = append(made, s)
				}
			})
		}
		wg.Wait()
		if len(made) != 1 || made[0].Principal.Email != "olga@a.test" || made[0].Principal.Role != bridge.RoleOwner || made[0].Principal.Org != "acme" {
			t.Fatalf("%d first people: %+v", len(made), made)
		}
		if p, err := f.Sessions.BrowserSession(ctx, made[0].Cookie); err != nil || p.Provider != "" {
			t.Errorf("%+v %v", p, err)
		}
		if _, ok, err := f.SignUp.OfferFirst(ctx, "evil@a.test"); ok || err != nil {
			t.Errorf("a link for a cloud with people: %v %v", ok, err)
		}
		if fresh, err := f.SignUp.Fresh(ctx); fresh || err != nil {
			t.Errorf("%v %v", fresh, err)
		}
	})
}

// An operator's command that adds somebody makes the link void.
func TestFirstLinkIsVoid(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		token := f.offerFirst("olga@a.test")
		f.Person("ann@a.test", "acme", bridge.RoleOwner)
		if _, err := f.SignUp.MakeFirst(t.Context(), token, first("acme"), audit.Actor{}); bridge.CodeOf(err) != "link_invalid" {
			t.Errorf("%v", err)
		}
		if _, err := f.SignUp.FirstPerson(t.Context(), token); bridge.CodeOf(err) != "link_invalid" {
			t.Errorf("%v", err)
		}
	})
}
