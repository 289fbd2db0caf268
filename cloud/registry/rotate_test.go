package registry_test

import (
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/vault"
)

func TestRotateEncryptionKey(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		older := newKeys(t)
		f.open(older)
		p := f.person("ann@a.test", "acme", bridge.RoleAdmin)
		for _, server := range []string{"https://a.test", "https://b.test", "https://c.test"} {
			f.register(p, server, aceKey().Text().Reveal())
		}
		enrolment, _ := f.enrol(p) // and the mail that says so
		gone := f.register(p, "https://d.test", aceKey().Text().Reveal())
		if _, err := f.Connections.Delete(t.Context(), p.As(audit.Actor{}), gone.ID); err != nil {
			t.Fatal(err)
		}
		newer := newKeys(t)
		f.open(bridge.NewSecret(newer.Reveal() + "," + older.Reveal()))
		left := -1
		if n, err := f.Vault.RotateEncryptionKey(t.Context(), func(done, total int) { left = total - done }); n != 6 || err != nil || left != 0 {
			t.Fatalf("%d rows rotated, %d left (%v)", n, left, err)
		}
		if n, err := f.Vault.RotateEncryptionKey(t.Context(), func(int, int) {}); n != 0 || err != nil {
			t.Errorf("a second run changed %d rows (%v)", n, err)
		}
		f.open(newer)
		list, _, err := f.Connections.Connections(t.Context(), p, "", 0)
		if err != nil || len(list) != 3 {
			t.Fatal(err)
		}
		for _, c := range list {
			if _, err := f.Tokens.Credential(t.Context(), p, c.ID); err != nil {
				t.Errorf("with the new key alone: %v", err)
			}
		}
		f.advance(time.Minute)
		if err := f.Factors.CheckOTP(t.Context(), accounts.User{ID: p.UserID, Email: p.Email}, f.code(enrolment, 0), bridge.Secret{}, audit.Actor{}); err != nil {
			t.Errorf("a code, with the new key alone: %v", err)
		}
		if due, err := f.Outbox.DueMail(t.Context(), 10); err != nil || len(due) != 1 || due[0].Text.Len() == 0 {
			t.Errorf("the mail, with the new key alone: %v %v", due, err)
		}
		f.open(older)
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

func FuzzVaultOpen(f *testing.F) {
	rows, err := vault.NewVault(bridge.NewSecret("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="))
	if err != nil {
		f.Fatal(err)
	}
	row := vault.RowIdentity{Org: "o1", Connection: "c1", Server: "https://ace.a.test"}
	token, err := rows.Seal(row, bridge.NewSecret("secret"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("gAAAAA==")
	f.Fuzz(func(t *testing.T, s string) {
		// Each worker of the fuzzer seals a token of its own; whatever opens must be one of those.
		if got, err := rows.Open(row, s); err == nil && got.Reveal() != "secret" {
			t.Errorf("%q opens as %q", s, got.Reveal())
		}
	})
}
