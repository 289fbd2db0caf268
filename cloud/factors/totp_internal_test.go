package factors

import "testing"

func FuzzCanonicalOTP(f *testing.F) {
	f.Add("123 456")
	f.Add("abcd-EFGH-2345-mnop")
	f.Fuzz(func(t *testing.T, s string) {
		got := canonicalOTP(s)
		if len(got) > 64 || canonicalOTP(got) != got {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}
