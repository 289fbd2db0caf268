package registry

import (
	"testing"

	"github.com/alexedwards/argon2id"

	"github.com/acebridge/ace/bridge"
)

// Wrong passwords cost one hash of the same parameters, whether the user is known, unknown, or has no password.
func TestUnknownUsersCostTheSameWork(t *testing.T) {
	h, err := newHasher(PasswordCost{MemoryKiB: 64, Iterations: 1})
	if err != nil {
		t.Fatal(err)
	}
	known, err := h.hash(t.Context(), bridge.NewSecret("correct horse battery"))
	if err != nil {
		t.Fatal(err)
	}
	var work []argon2id.Params
	h.compare = func(password, hash string) (bool, error) {
		match, params, err := argon2id.CheckHash(password, hash)
		work = append(work, *params)
		return match, err
	}
	for _, hash := range []string{known, ""} {
		if match, err := h.check(t.Context(), bridge.NewSecret("wrong horse"), hash); match || err != nil {
			t.Errorf("a wrong password passes (%v)", err)
		}
	}
	if len(work) != 2 || work[0] != work[1] {
		t.Errorf("a known user costs other work than an unknown one: %+v", work)
	}
	if match, err := h.check(t.Context(), bridge.NewSecret("correct horse battery"), known); !match || err != nil {
		t.Errorf("the right password: %v", err)
	}
}

func FuzzCanonicalOTP(f *testing.F) {
	f.Add("123 456")
	f.Add("abcd-EFGH-2345-mnop")
	f.Fuzz(func(t *testing.T, s string) {
		got := canonicalOTP(s)
		if len(got) > 64 || canonicalOTP(got) != got && got != "" && !containsMark(got) {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}

// containsMark says whether a code has a character that no code has.
func containsMark(s string) bool {
	for _, c := range s {
		if c == '?' {
			return true
		}
	}
	return false
}

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
