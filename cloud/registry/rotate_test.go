package registry_test

import (
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/storetest"
)

func TestRotateEncryptionKey(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		older := storetest.NewKeys(t)
		f.Open(older)
		p := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		for _, server := range []string{"https://a.test", "https://b.test", "https://c.test"} {
			f.Register(p, server, storetest.AceKey().Text().Reveal())
		}
		enrolment, _ := f.Enrol(p) // and the mail that says so
		gone := f.Register(p, "https://d.test", storetest.AceKey().Text().Reveal())
		if _, err := f.Connections.Delete(t.Context(), p.As(audit.Actor{}), gone.ID); err != nil {
			t.Fatal(err)
		}
		newer := storetest.NewKeys(t)
		f.Open(bridge.NewSecret(newer.Reveal() + "," + older.Reveal()))
		left := -1
		if n, err := f.Vault.RotateEncryptionKey(t.Context(), func(done, total int) { left = total - done }); n != 6 || err != nil || left != 0 {
			t.Fatalf("%d rows rotated, %d left (%v)", n, left, err)
		}
		if n, err := f.Vault.RotateEncryptionKey(t.Context(), func(int, int) {}); n != 0 || err != nil {
			t.Errorf("a second run changed %d rows (%v)", n, err)
		}
		f.Open(newer)
		list, _, err := f.Connections.Connections(t.Context(), p, "", 0)
		if err != nil || len(list) != 3 {
			t.Fatal(err)
		}
		for _, c := range list {
			if _, err := f.Tokens.Credential(t.Context(), p, c.ID); err != nil {
				t.Errorf("with the new key alone: %v", err)
			}
		}
		f.Advance(time.Minute)
		if err := f.Factors.CheckOTP(t.Context(), accounts.User{ID: p.UserID, Email: p.Email}, f.TOTP(enrolment, 0), bridge.Secret{}, audit.Actor{}); err != nil {
			t.Errorf("a code, with the new key alone: %v", err)
		}
		if due, err := f.Outbox.DueMail(t.Context(), 10); err != nil || len(due) != 1 || due[0].Text.Len() == 0 {
			t.Errorf("the mail, with the new key alone: %v %v", due, err)
		}
		f.Open(older)
		if _, err := f.Tokens.Credential(t.Context(), p, list[0].ID); bridge.CodeOf(err) != "row_unreadable" {
			t.Errorf("the old key still opens a row: %v", err)
		}
		if _, err := f.Vault.RotateEncryptionKey(t.Context(), func(int, int) {}); bridge.CodeOf(err) != "rows_unreadable" {
			t.Errorf("rotation without the right key: %v", err)
		}
		removed, err := f.Connections.Delete(t.Context(), p.As(audit.Actor{}), list[0].ID)
		if err != nil || removed.Revocation == nil || removed.Revocation.Status != "lost" || removed.Revocation.Cause == "" {
			t.Errorf("removing a connection that cannot be decrypted: %+v (%v)", removed.Revocation, err)
		}
	})
}
