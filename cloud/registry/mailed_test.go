package registry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
)

// What anybody can choose freely, the name of a key or of a person, is in no mail of the cloud's: it could be an address to
// follow.
func TestNamesAreInNoMail(t *testing.T) {
	const lure = "Prize! https://evil.example"
	each(t, func(t *testing.T, f *fixture) {
		owner := f.person("olga@a.test", "acme", bridge.RoleOwner)
		if _, err := f.Accounts.PatchAccount(t.Context(), owner.As(owner.Actor("", "")), api.ProfilePatch{Name: new(lure)}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Accounts.RenameOrganization(t.Context(), owner.As(owner.Actor("", "")), "acme", api.OrganizationPatch{Name: lure}); err != nil {
			t.Fatal(err)
		}
		key, err := f.Accounts.KeyPrincipal(t.Context(), bridge.Identity{Type: bridge.TypeAPIKey, KeyID: uuid.New(), Kind: bridge.KindLive,
			Subject: owner.Email, Org: "acme", Scopes: []bridge.Scope{"member:invite"}}, accounts.KeyFacts{Name: lure})
		if err != nil {
			t.Fatal(err)
		}
		f.invite(owner, api.NewInvitation{Email: "new@b.test"})
		f.invite(key, api.NewInvitation{Email: "other@b.test"})
		if err := f.Links.RequestReset(t.Context(), owner.Email, owner.Actor("", "")); err != nil {
			t.Fatal(err)
		}
		f.advance(10 * time.Minute) // what was taken above and not sent comes again
		mails := f.mailed()
		if len(mails) != 3 {
			t.Fatalf("%d mails", len(mails))
		}
		for _, m := range mails {
			if strings.Contains(m.Subject+m.Text.Reveal(), "evil") {
				t.Errorf("to %s: %s\n%s", m.To, m.Subject, m.Text.Reveal())
			}
		}
	})
}
