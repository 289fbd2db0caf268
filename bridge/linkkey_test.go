package bridge_test

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
)

func newLink(t testing.TB) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

// A proof is for one step of one join, at one cloud, by a key that the cloud knows.
func TestJoinProof(t *testing.T) {
	public, private := newLink(t)
	other, others := newLink(t)
	p := bridge.JoinProof{Cloud: "https://cloud.test", Token: "hash", Server: "3f1c6a52-0000-4000-8000-000000000001", LinkKey: bridge.LinkKeyText(public), KeyID: "id"}
	proof, known := p.Sign(private), []ed25519.PublicKey{other, public}
	if ok, err := p.Verify([]string{p.Sign(others), proof}, []ed25519.PublicKey{public}); !ok || err != nil {
		t.Errorf("one of two: %t %v", ok, err)
	}
	if ok, err := p.Verify(nil, known); ok || err != nil {
		t.Errorf("none: %t %v", ok, err)
	}
	if ok, err := p.Verify([]string{proof}, []ed25519.PublicKey{other}); ok || err != nil {
		t.Errorf("of an unknown key: %t %v", ok, err)
	}
	for name, change := range map[string]func(*bridge.JoinProof){
		"cloud": func(p *bridge.JoinProof) { p.Cloud = "https://other.test" }, "token": func(p *bridge.JoinProof) { p.Token = "other" },
		"server": func(p *bridge.JoinProof) { p.Server = "other" }, "step": func(p *bridge.JoinProof) { p.LinkKey, p.KeyID = "", "" },
		"link key": func(p *bridge.JoinProof) { p.LinkKey = bridge.LinkKeyText(other) }, "API key": func(p *bridge.JoinProof) { p.KeyID = "other" },
	} {
		changed := p
		change(&changed)
		if ok, err := changed.Verify([]string{proof}, known); ok || err != nil {
			t.Errorf("another %s: %t %v", name, ok, err)
		}
	}
	moved := p
	moved.LinkKey, moved.KeyID = "", p.LinkKey+"\n"+p.KeyID
	for name, refused := range map[string]func() (bool, error){
		"short":         func() (bool, error) { return p.Verify([]string{proof[1:]}, known) },
		"padded":        func() (bool, error) { return p.Verify([]string{proof + "=="}, known) },
		"no base64url":  func() (bool, error) { return p.Verify([]string{"+" + proof[1:]}, known) },
		"stray bits":    func() (bool, error) { return p.Verify([]string{proof[:85] + "_"}, known) },
		"second is bad": func() (bool, error) { return p.Verify([]string{proof, ""}, known) },
		"too many":      func() (bool, error) { return p.Verify(make([]string, bridge.MaxJoinProofs+1), known) },
		"more lines":    func() (bool, error) { return moved.Verify([]string{moved.Sign(private)}, known) },
	} {
		if ok, err := refused(); ok || bridge.CodeOf(err) != bridge.CodeJoinMalformed {
			t.Errorf("%s: %t %v", name, ok, err)
		}
	}
}

// FuzzJoinProof checks that no text but the one that was signed is a proof.
func FuzzJoinProof(f *testing.F) {
	public, private := newLink(f)
	p := bridge.JoinProof{Cloud: "https://cloud.test", Token: "hash", Server: "server", LinkKey: "link", KeyID: "key"}
	proof := p.Sign(private)
	f.Add(proof, "server", "key")
	f.Add(proof[:85]+"_", "server", "key")
	f.Add(strings.Repeat("A", 86), "server\nlink", "")
	f.Fuzz(func(t *testing.T, text, server, keyID string) {
		asked := p
		asked.Server, asked.KeyID = server, keyID
		ok, err := asked.Verify([]string{text}, []ed25519.PublicKey{public})
		if ok != (err == nil && text == proof && asked == p) {
			t.Errorf("%q of %q, %q: %t %v", text, server, keyID, ok, err)
		}
	})
}

// FuzzParseLinkKey checks that each text is the only one of its key.
func FuzzParseLinkKey(f *testing.F) {
	public, _ := newLink(f)
	f.Add(bridge.LinkKeyText(public))
	f.Add(bridge.LinkKeyText(public) + "=")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := bridge.ParseLinkKey(text)
		if err == nil && (len(key) != ed25519.PublicKeySize || bridge.LinkKeyText(key) != text) {
			t.Errorf("%q becomes %x", text, key)
		}
		if err != nil && bridge.CodeOf(err) != bridge.CodeLinkKeyMalformed {
			t.Error(err)
		}
	})
}
