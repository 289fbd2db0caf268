package accounts

import "testing"

func FuzzProfile(f *testing.F) {
	for _, s := range []string{"", "DE", "de", "EUR", "eur", "ZZ", "419", "XXX", "\x00\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := canonicalCountry(s); err == nil && got != "" && (len(got) != 2 || !capitals(got)) {
			t.Errorf("%q is the country %q", s, got)
		}
		if got, err := canonicalCurrency(s); err == nil && got != "" && (len(got) != 3 || !capitals(got)) {
			t.Errorf("%q is the currency %q", s, got)
		}
	})
}

func capitals(s string) bool {
	for _, c := range s {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}
