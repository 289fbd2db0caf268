package bridge

import (
	"strings"
	"testing"
)

func TestCanonicalEmail(t *testing.T) {
	for in, want := range map[string]string{
		"Bob@Acme.Test": "bob@acme.test", "zoe\u0308@acme.test": "zoë@acme.test", "ZO\u00cb@acme.test": "zoë@acme.test",
		"bob@Bücher.example": "bob@xn--bcher-kva.example", "bob@bu\u0308cher.example": "bob@xn--bcher-kva.example",
		"bob@XN--BCHER-KVA.example": "bob@xn--bcher-kva.example", "ｂｏｂ@acme.test": "bob@acme.test", "bob@acme。test": "bob@acme.test",
		"bob@BÜCHER．example": "bob@xn--bcher-kva.example",
	} {
		got, err := CanonicalEmail(in)
		if err != nil || got != want {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
		if again, err := CanonicalEmail(got); err != nil || again != got {
			t.Errorf("%q is not its own canonical form: %q %v", got, again, err)
		}
		if !SameEmail(" "+in+"\n", want) || SameEmail(in, "x"+want) || SameEmail(in, "") {
			t.Errorf("%q is not the same address as %q, or as others", in, want)
		}
	}
	for _, bad := range []string{"", "bob", "bob@", "b\u202eob@acme.test", "bo\u200db@acme.test", "bob@ac\u00adme.test", "bob\u200b@acme.test", "Bob <bob@acme.test>", "bob@ac me.test", "bob@a..test",
		"bob@ü..test", "\u017fam@acme.test\x00", "bob@" + strings.Repeat("ü", 70) + ".test"} {
		if got, err := CanonicalEmail(bad); err == nil {
			t.Errorf("%q is taken for %q", bad, got)
		}
	}
}

func FuzzCanonicalEmail(f *testing.F) {
	f.Add("Zoë@Bücher.example")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := CanonicalEmail(s)
		if err != nil {
			return
		}
		if again, err := CanonicalEmail(got); err != nil || again != got {
			t.Errorf("%q: %q, then %q %v", s, got, again, err)
		}
	})
}
