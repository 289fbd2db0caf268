package accounts_test

import (
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

func TestProfile(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
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
