package vault_test

import (
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/vault"
)

// TestManyOlderRows holds that rows are checked page by page, and that rows that no key opens are counted once.
func TestManyOlderRows(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		keys := storetest.NewKeys(t)
		f.Open(keys)
		v, err := vault.NewVault(keys)
		if err != nil {
			t.Fatal(err)
		}
		const rows = 1_200
		tx, err := f.SQL.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		for i := range rows {
			id := string(rune('a'+i%26)) + strings.Repeat("x", i/26)
			body, err := v.Seal(vault.RowIdentity{Connection: "mail:" + id}, bridge.NewSecret("text"))
			if err != nil {
				t.Fatal(err)
			}
			if i%100 == 7 {
				body = "id000000.gAAAA" // no key has ever made that
			}
			if _, err := tx.ExecContext(t.Context(), `INSERT INTO outbox (id, kind, recipient, subject, body, address, request_id, tries, next_at, expires_at, created_at)
				VALUES ($1, 'text', 'a@a.test', 's', $2, '', '', 0, 0, 0, 0)`, id, body[9:]); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if e := bridge.AsError(f.Vault.CheckKeys(t.Context())); e.Code != "encryption_key_missing" || !strings.HasPrefix(e.Detail, "12 rows of an older version") {
				t.Fatal(e)
			}
		}
		var labelled int
		if err := f.SQL.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM outbox WHERE substr(body, 1, 9) = $1", v.KeyIDs()[0]+".").Scan(&labelled); err != nil || labelled != rows-12 {
			t.Errorf("%d rows have the ID of their key (%v)", labelled, err)
		}
	})
}

func TestSigningKeyOfTheSameNumber(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		one, another := bridge.NewSigningRoot().Reveal(), bridge.NewSigningRoot().Reveal()
		two := "2." + strings.TrimPrefix(another, "1.")
		for _, step := range []struct {
			name, keys string
			code       bridge.Code
		}{
			{"the first", one, ""},
			{"the same", one, ""},
			{"another one of the same number", another, "signing_key_other"},
			{"beside a new one", two + "," + another, "signing_key_other"},
			{"the old one again", one, ""},
			{"a new number in front", two + "," + one, ""},
			{"the old one gone", two, ""},
			{"a third alone", "3." + strings.TrimPrefix(bridge.NewSigningRoot().Reveal(), "1."), ""},
			{"the second as another", "2." + strings.TrimPrefix(one, "1."), "signing_key_other"},
		} {
			var err error
			if f.Root, err = bridge.ParseSigningRoot(bridge.NewSecret(step.keys)); err != nil {
				t.Fatal(err)
			}
			f.Open(storetest.NewKeys(t))
			if err := f.Vault.UseSigningKeys(t.Context()); bridge.CodeOf(err) != step.code {
				t.Errorf("%s: %v", step.name, err)
			}
		}
	})
}
