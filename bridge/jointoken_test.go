package bridge_test

import (
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
)

func newJoinToken(t testing.TB) bridge.JoinToken {
	t.Helper()
	root, err := bridge.ParseSigningRoot(bridge.NewSigningRoot())
	if err != nil {
		t.Fatal(err)
	}
	public, _ := root.TrustValues("https://cloud.test", "acme")
	token, err := bridge.NewJoinToken(public)
	if err != nil {
		t.Fatal(err)
	}
	if token.PublicKey() != public {
		t.Fatalf("the token pins %q, want %q", token.PublicKey(), public)
	}
	return token
}

func TestJoinToken(t *testing.T) {
	token := newJoinToken(t)
	again, err := bridge.ParseJoinToken(token.Text())
	if err != nil {
		t.Fatal(err)
	}
	if again.Cloud() != "https://cloud.test" || again.Org() != "acme" || again.Hash() != token.Hash() || again.PublicKey() != token.PublicKey() {
		t.Errorf("read back: %s %s", again.Cloud(), again.Org())
	}
	text := token.Text().Reveal()
	secret := text[strings.LastIndexByte(text, '.')+1:]
	for name, bad := range map[string]string{
		"empty": "", "another kind": "ace_pk1" + text[7:], "cut off": text[:len(text)-1], "longer": text + "A",
		"no secret": strings.TrimSuffix(text, secret), "a raw secret": secret, "a line break": text[:20] + "\n" + text[20:], "two": text + "." + secret,
		"huge": text + strings.Repeat("A", 5000),
	} {
		if _, err := bridge.ParseJoinToken(bridge.NewSecret(bad)); bridge.CodeOf(err) != "join_token_malformed" {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), secret[:20]) {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
	if newJoinToken(t).Hash() == token.Hash() {
		t.Error("two tokens are the same")
	}
}

func FuzzParseJoinToken(f *testing.F) {
	f.Add(newJoinToken(f).Text().Reveal())
	f.Add("ace_jt1...")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := bridge.ParseJoinToken(bridge.NewSecret(text))
		if err == nil && token.Text().Reveal() != text {
			t.Errorf("%q is read as %q", text, token.Text().Reveal())
		}
	})
}

func TestLinkURL(t *testing.T) {
	url := bridge.LinkURL("0198a3c1f2")
	if canonical, err := bridge.CanonicalURL(string(url)); err != nil || canonical != url || !url.LinkOnly() {
		t.Errorf("%s: %s %v", url, canonical, err)
	}
	for _, dialed := range []bridge.ServerURL{"https://ace.test", "https://link.invalid", "https://x.link.invalid.test", "http://localhost:7777"} {
		if dialed.LinkOnly() {
			t.Errorf("%s is taken for a link", dialed)
		}
	}
}
