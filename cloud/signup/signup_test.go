package signup_test

import (
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/signin"
)

func TestSignUp(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		owner := f.Person("olga@a.test", "acme", bridge.RoleOwner)
		_, token, _ := f.Invite(owner, api.NewInvitation{Role: "viewer"})
		if _, code := f.SignUpWith(token, "olga@a.test"); code != "user_exists" {
			t.Errorf("an address that has an account: %q", code)
		}
		up, code := f.SignUpWith(token, "New@a.test")
		if code != "" || up.Verified {
			t.Fatalf("%+v %q", up, code)
		}
		if p, err := f.Sessions.BrowserSession(ctx,
			up.Waiting); bridge.CodeOf(err) != bridge.CodeEmailUnverified || !up.Session.Cookie.IsZero() {
			t.Errorf("somebody whose address is not proven: %+v %v", p, err)
		}
		if err := f.Links.VerifyEmail(ctx, f.Link(signin.PurposeVerify), bridge.NewSecret(storetest.Password), audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if list, _, _ := f.Accounts.Members(ctx, owner, "acme", "", 0); len(list) != 2 || list[1].Email != "new@a.test" || list[1].Role != "viewer" {
			t.Errorf("the membership does not start with the proof: %+v", list)
		}
		_, shown, mailed := f.Invite(owner, api.NewInvitation{Email: "bea@a.test"})
		if _, code := f.SignUpWith(mailed, "bob@a.test"); code != "invitation_for_another" {
			t.Errorf("another address: %q", code)
		}
		if up, code := f.SignUpWith(mailed, "bea@a.test"); code != "" || !up.Verified {
			t.Errorf("by the mailed link: %+v %q", up, code)
		}
		// The one who invites holds a link, too: it must not make them the owner of somebody else's address.
		if _, code := f.SignUpWith(shown, "bea@a.test"); code != "invitation_unknown" {
			t.Errorf("the other link lives on: %q", code)
		}
		_, shown, _ = f.Invite(owner, api.NewInvitation{Email: "ceo@big.test"})
		if up, code := f.SignUpWith(shown, "ceo@big.test"); code != "" || up.Verified {
			t.Errorf("by the inviter's own link: %+v %q", up, code)
		}
		// One invitation, many at once.
		_, token, _ = f.Invite(owner, api.NewInvitation{})
		codes := make(chan string)
		for i := range 6 {
			go func() {
				_, code := f.SignUpWith(token, "race"+string(rune('a'+i))+"@a.test")
				codes <- string(code)
			}()
		}
		joined := 0
		for range 6 {
			switch code := <-codes; code {
			case "":
				joined++
			case "invitation_awaited":
			default:
				t.Errorf("sign up: %q", code)
			}
		}
		if list, _, _ := f.Accounts.Members(ctx, owner, "acme", "", 0); joined != 5 || len(list) != 3 {
			t.Errorf("%d people wait with one invitation; the members are %+v", joined, list)
		}
		for _, table := range []string{"invitations", "audit", "users"} {
			storetest.Dump(t, f.SQL, table, []string{token.Reveal(), shown.Reveal(), mailed.Reveal(), storetest.Password})
		}
	})
}
