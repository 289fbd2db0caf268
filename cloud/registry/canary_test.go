package registry_test

import (
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/signin"
)

// No column of any table holds a key, a token or a password in the clear.
func TestCanaryIsNowhereInTheClear(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		key := storetest.AceKey()
		c := f.Register(p, "https://ace.a.test", key.Text().Reveal())
		f.Register(p, "https://plain.a.test", "canary-plain-key")
		device, err := f.Sessions.OpenSession(t.Context(), p.UserID, "acme", accounts.MethodDevice, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		removed, err := f.Connections.Delete(t.Context(), p.As(p.Actor("", "")), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		enrolment, codes := f.Enrol(p)
		if err := f.Links.RequestReset(t.Context(), p.Email, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		token := f.Link(signin.PurposeReset)
		pending, err := f.SignIn.BeginSecondStep(t.Context(), accounts.User{ID: p.UserID, Email: p.Email}, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		known := bridge.NewSecret(bridge.RandomToken(32))
		if err := f.Lockout.KnowDevice(t.Context(), p.UserID, known, "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
		canaries := []string{enrolment.Secret.Reveal(), codes[0].Reveal(), strings.ReplaceAll(codes[0].Reveal(), "-", ""), token.Reveal(),
			pending.Reveal(), known.Reveal(), "192.0.2.1", key.Text().Reveal()[31:], "canary-plain-key", device.Refresh.Reveal(), removed.Revocation.Token.Reveal(), storetest.Password}
		rows := 0
		for _, table := range []string{"users", "sessions", "refresh_tokens", "devices", "connections", "revocations", "audit",
			"mail_tokens", "outbox", "totp", "recovery_codes", "pending_logins", "known_devices", "login_failures"} {
			rows += storetest.Dump(t, f.SQL, table, canaries)
		}
		if rows < 5 {
			t.Errorf("only %d rows were looked at", rows)
		}
	})
}
