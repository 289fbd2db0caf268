package registry

import "testing"

func TestCanonicalEmail(t *testing.T) {
	for in, want := range map[string]string{
		"Bob@Acme.Test": "bob@acme.test", "zoe\u0308@acme.test": "zoë@acme.test", "ZO\u00cb@acme.test": "zoë@acme.test",
		"bob@Bücher.example": "bob@xn--bcher-kva.example", "bob@bu\u0308cher.example": "bob@xn--bcher-kva.example",
		"bob@XN--BCHER-KVA.example": "bob@xn--bcher-kva.example", "ｂｏｂ@acme.test": "bob@acme.test",
	} {
		got, err := canonicalEmail(in)
		if err != nil || got != want {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
		if again, err := canonicalEmail(got); err != nil || again != got {
			t.Errorf("%q is not its own canonical form: %q %v", got, again, err)
		}
		if LoginEmail(" "+in+"\n") != want {
			t.Errorf("signing in with %q looks up %q", in, LoginEmail(in))
		}
	}
	for _, bad := range []string{"", "bob", "bob@", "b\u202eob@acme.test", "bo\u200db@acme.test", "bob@ac\u00adme.test", "bob\u200b@acme.test", "Bob <bob@acme.test>"} {
		if got, err := canonicalEmail(bad); err == nil {
			t.Errorf("%q is taken for %q", bad, got)
		}
	}
}

func FuzzCanonicalEmail(f *testing.F) {
	f.Add("Zoë@Bücher.example")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := canonicalEmail(s)
		if err != nil {
			return
		}
		if again, err := canonicalEmail(got); err != nil || again != got {
			t.Errorf("%q: %q, then %q %v", s, got, again, err)
		}
	})
}
