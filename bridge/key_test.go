package bridge_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
)

func TestKeyRoundTrip(t *testing.T) {
	for _, kind := range []bridge.KeyKind{bridge.KindLive, bridge.KindTest, bridge.KindSK, bridge.KindPAT} {
		for _, id := range []uuid.UUID{uuid.New(), {}, uuid.Max} {
			key := bridge.NewKey(kind, id)
			text := key.Text().Reveal()
			if !bridge.KeyPattern.MatchString("x " + text + ".") {
				t.Errorf("the scanner's pattern does not find %s", text)
			}
			back, err := bridge.ParseKey(key.Text())
			if err != nil || back.ID != id || back.Kind != kind || back.Hash() != key.Hash() {
				t.Errorf("%s does not come back: %v", text, err)
			}
			if !strings.HasPrefix(text, key.Prefix()) || len(key.Prefix()) > len("ace_live_")+8 {
				t.Errorf("the prefix %q shows too much or too little", key.Prefix())
			}
			if !back.PublicKey().Equal(key.PublicKey()) {
				t.Error("the derived key pair is not always the same")
			}
		}
	}
}

func TestKeyChecksumCatchesEveryChange(t *testing.T) {
	text := bridge.NewKey(bridge.KindLive, uuid.New()).Text().Reveal()
	for i := range len(text) {
		for _, c := range "0Zz_-." {
			changed := text[:i] + string(c) + text[i+1:]
			if changed == text {
				continue
			}
			if _, err := bridge.ParseKey(bridge.NewSecret(changed)); bridge.CodeOf(err) != "key_malformed" {
				t.Errorf("a change at %d passes", i)
			}
		}
		if _, err := bridge.ParseKey(bridge.NewSecret(text[:i])); err == nil {
			t.Errorf("the first %d bytes pass", i)
		}
	}
}

func TestParseKeyAllocatesNothing(t *testing.T) {
	text := bridge.NewKey(bridge.KindLive, uuid.New()).Text()
	if n := testing.AllocsPerRun(100, func() {
		key, err := bridge.ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		_ = key.Hash()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(bridge.NewKey(bridge.KindSK, uuid.New()).Text().Reveal())
	f.Add("ace_live_" + strings.Repeat("z", 71))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		key, err := bridge.ParseKey(bridge.NewSecret(s))
		if err != nil {
			return
		}
		if key.Text().Reveal() != s || !bridge.KeyPattern.MatchString(s) {
			t.Errorf("%q was taken as a key", s)
		}
	})
}

func TestCredential(t *testing.T) {
	id := uuid.New()
	key := bridge.NewKey(bridge.KindLive, id).Text().Reveal()
	cases := map[string]struct {
		header http.Header
		want   string
		code   bridge.Code
	}{
		"none":         {http.Header{}, "", ""},
		"bearer":       {http.Header{"Authorization": {"Bearer " + key}}, key, ""},
		"lower case":   {http.Header{"Authorization": {"bearer " + key}}, key, ""},
		"X-API-Key":    {http.Header{"X-Api-Key": {key}}, key, ""},
		"X-Ace-Api":    {http.Header{"X-Ace-Api-Key": {key}}, key, ""},
		"with its ID":  {http.Header{"X-Api-Key": {id.String() + "." + key}}, key, ""},
		"basic":        {http.Header{"Authorization": {"Basic eDp5"}}, "", ""},
		"basic beside": {http.Header{"Authorization": {"Basic eDp5"}, "X-Api-Key": {key}}, key, ""},
		"two headers":  {http.Header{"Authorization": {"Bearer " + key}, "X-Api-Key": {key}}, "", "credential_ambiguous"},
		"twice":        {http.Header{"X-Api-Key": {key, key}}, "", "credential_ambiguous"},
		"empty":        {http.Header{"X-Api-Key": {""}}, "", "credential_malformed"},
		"no UUID":      {http.Header{"X-Api-Key": {"x." + key}}, "", "credential_malformed"},
		"too long":     {http.Header{"X-Api-Key": {strings.Repeat("a", 9000)}}, "", "credential_malformed"},
	}
	for name, c := range cases {
		p, err := bridge.Credential(c.header)
		if bridge.CodeOf(err) != c.code || p.Value.Reveal() != c.want {
			t.Errorf("%s: %q, %v", name, p.Value.Reveal(), err)
		}
	}
}

func TestTailOfKeyID(t *testing.T) {
	for range 100 {
		id := uuid.New()
		key := bridge.NewKey(bridge.KindSK, id)
		tail, hash, ok := bridge.LookUpKey(key.Text())
		if !ok || tail != bridge.TailOfKeyID(id) || hash != key.Hash() {
			t.Fatalf("the tail of %s is %s, in a key it is %s", id, bridge.TailOfKeyID(id), tail)
		}
	}
}
