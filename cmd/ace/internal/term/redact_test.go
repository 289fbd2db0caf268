package term

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/acebridge/ace/bridge"
)

func TestMayBeSecret(t *testing.T) {
	for _, word := range []string{"production", "my-service-2026-production", "https://ace.company.com:7777/path", "0192f0c1-2b3c-7def-8123-456789abcdef", "zoë@bücher.example", "TestNothingPastedIsRepeated001",
		"internationalization-team", "ace_live", "svc:billing:write", "2026-12-01T10:00:00Z", "/home/ann/projects/ace/cmd/ace/redact_test.go", "kubernetes-cluster-eu-west-1a-blue", "https://my-ace-k3j4h5k6l7-uc.a.run.app", "my-ace-k3j4h5k6l7m8-uc.a.run.app",
		"/nix/store/9krlzvny65gdc8s7kpb6lkx8cd02c25b-default", ""} {
		if MayBeSecret(word) {
			t.Errorf("%q is taken for a secret", word)
		}
	}
	for i := range 200 {
		sum := sha256.Sum256([]byte{byte(i)})
		for _, token := range []string{base64.RawURLEncoding.EncodeToString(sum[:]), hex.EncodeToString(sum[:])} {
			if !MayBeSecret(token) {
				t.Errorf("%q is not taken for a secret", token)
			}
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("cannot reach https://user:secret@host", "secret")
	f.Add("x ace_live_aaaaaaaaaaaaaaaaaaaa", "aaaaaa")
	f.Fuzz(func(t *testing.T, text, secret string) {
		if len(secret) < leastSecret || !utf8.ValidString(secret) || strings.Contains(strings.ToLower(bridge.Redacted), strings.ToLower(secret)) {
			return
		}
		shown := redact(text+secret+text, []string{secret})
		if strings.Contains(strings.ReplaceAll(shown, bridge.Redacted, "\x00"), secret) {
			t.Errorf("%q shows %q", shown, secret)
		}
	})
}
