package vault_test

import (
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/vault"
)

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
