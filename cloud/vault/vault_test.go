package vault_test

import (
	"strings"
	"testing"

	"github.com/fernet/fernet-go"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/vault"
)

const (
	specKey   = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
	specToken = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=="
	otherKey  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)

// The vectors of github.com/fernet/spec, without those that are invalid only because of their age: rows do not expire.
func TestFernetSpecVectors(t *testing.T) {
	keys := fernet.MustDecodeKeys(specKey)
	if got := string(fernet.VerifyAndDecrypt([]byte(specToken), 0, keys)); got != "hello" {
		t.Errorf("the valid vector opens as %q", got)
	}
	for name, token := range map[string]string{
		"incorrect mac":  "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
		"too short":      "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==",
		"very short":     "gAAAAABdnQ1TUKh2OE_ggbyCIxfg",
		"super short":    "gAAA",
		"invalid base64": "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
		"payload size":   "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
		"padding":        "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
		"incorrect IV":   "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==",
	} {
		if text := fernet.VerifyAndDecrypt([]byte(token), 0, keys); text != nil {
			t.Errorf("%s: opens as %q", name, text)
		}
	}
}

func newVault(t *testing.T, keys string) *vault.Vault {
	t.Helper()
	v, err := vault.NewVault(bridge.NewSecret(keys))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRowOpensInItsPlaceOnly(t *testing.T) {
	v := newVault(t, specKey)
	row := vault.RowIdentity{Org: "o1", Connection: "c1", Server: "https://a.example"}
	token, err := v.Seal(row, bridge.NewSecret("canary"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Open(row, token); err != nil || got.Reveal() != "canary" {
		t.Fatalf("its own row: %v", err)
	}
	for name, other := range map[string]vault.RowIdentity{
		"organization": {"o2", "c1", "https://a.example"},
		"connection":   {"o1", "c2", "https://a.example"},
		"server":       {"o1", "c1", "https://b.example"},
		"moved border": {"o1c", "1", "https://a.example"},
	} {
		if _, err := v.Open(other, token); bridge.CodeOf(err) != "row_unreadable" {
			t.Errorf("another %s: %v", name, err)
		}
	}
	for name, bad := range map[string]string{
		"no padding": strings.TrimRight(token, "=") + "\n", "newline": token[:8] + "\n" + token[8:], "empty": "",
		"space": token + " ", "standard alphabet": "+" + token[1:], "trailing": token + "AAAA",
	} {
		if _, err := v.Open(row, bad); bridge.CodeOf(err) != "row_unreadable" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVaultKeyList(t *testing.T) {
	row := vault.RowIdentity{Org: "o", Connection: "c", Server: "https://a.example"}
	old, err := newVault(t, specKey).Seal(row, bridge.NewSecret("x"))
	if err != nil {
		t.Fatal(err)
	}
	both := newVault(t, otherKey+", "+specKey)
	if _, by, err := both.OpenWith(row, old); err != nil || by == both.KeyIDs()[0] {
		t.Errorf("an old key's row: by %s, %v", by, err)
	}
	token, err := both.Seal(row, bridge.NewSecret("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newVault(t, otherKey).Open(row, token); err != nil {
		t.Errorf("the first key does not encrypt: %v", err)
	}
	if _, err := newVault(t, specKey).Open(row, token); err == nil {
		t.Error("the second key opens what the first encrypted")
	}
	for _, bad := range []string{"", "short", specKey + ",", specKey[:43], specKey + "A"} {
		if _, err := vault.NewVault(bridge.NewSecret(bad)); bridge.CodeOf(err) != "encryption_key_malformed" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
