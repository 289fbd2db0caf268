package signin_test

import (
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/storetest"
)

func TestChangePassword(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
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
		if got := change(storetest.Password, "another horse battery"); got != "" {
			t.Fatal(got)
		}
		if list, err := f.Sessions.Sessions(t.Context(), p); err != nil || len(list) != 1 || !list[0].Current {
			t.Errorf("the sessions after it: %+v (%v)", list, err)
		}
		if _, err := f.Sessions.RefreshSession(t.Context(), other.Refresh, audit.Actor{}); bridge.CodeOf(err) != "invalid_grant" {
			t.Errorf("the refresh token of an ended session: %v", err)
		}
		if err := f.Try(p.Email, "another horse battery", bridge.Secret{}, ""); err != nil {
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
