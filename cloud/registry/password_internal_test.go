package registry

import (
	"log/slog"
	"testing"

	"github.com/alexedwards/argon2id"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// A wrong password costs one hash of the same parameters, whether the person is known, unknown, or has no password.
func TestUnknownUsersCostTheSameWork(t *testing.T) {
	keys, err := NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	vault, err := NewVault(keys)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqldb.Open(t.Context(), sqldbtest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	r, err := New(t.Context(), db, Config{Vault: vault, Password: PasswordCost{MemoryKiB: 64, Iterations: 1}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, email := range []string{"ann@a.test", "provider@a.test"} {
		if _, err := r.AddUser(t.Context(), audit.Actor{}, NewUser{Email: email, Password: bridge.NewSecret("correct horse battery"), Org: "acme"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE users SET password = '' WHERE email = 'provider@a.test'"); err != nil {
		t.Fatal(err)
	}
	work := map[string][]argon2id.Params{}
	for _, email := range []string{"ann@a.test", "nobody@a.test", "provider@a.test", "not an address"} {
		r.hasher.compare = func(password, hash string) (bool, error) {
			match, params, err := argon2id.CheckHash(password, hash)
			work[email] = append(work[email], *params)
			return match, err
		}
		_, err := r.Authenticate(t.Context(), Login{Email: email, Password: bridge.NewSecret("wrong horse")}, audit.Actor{Address: "192.0.2.1"})
		if bridge.CodeOf(err) != "login_failed" {
			t.Errorf("%s: %v", email, err)
		}
		if len(work[email]) != 1 || work[email][0] != work["ann@a.test"][0] {
			t.Errorf("%s costs other work than somebody known: %+v", email, work)
		}
	}
}

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
