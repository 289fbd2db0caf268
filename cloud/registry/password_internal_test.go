package registry

import (
	"context"
	"log/slog"
	"testing"

	"github.com/alexedwards/argon2id"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

const rightPassword = "correct horse battery"

func newTestRegistry(t *testing.T) *Registry {
	t.Helper()
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
	r, err := New(t.Context(), db, Config{Vault: vault, Password: PasswordCost{MemoryKiB: 64, Iterations: 1}, Mail: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A reset while the old password is being checked is the last word: what the check was for does not happen.
func TestPasswordChangesDuringItsCheck(t *testing.T) {
	old := bridge.NewSecret(rightPassword)
	for name, do := range map[string]func(ctx context.Context, r *Registry, p Principal) error{
		"a new password": func(ctx context.Context, r *Registry, p Principal) error {
			return r.ChangePassword(ctx, p.As(audit.Actor{}), old, bridge.NewSecret("the thief's password"))
		},
		"another address": func(ctx context.Context, r *Registry, p Principal) error {
			_, err := r.RequestAddress(ctx, p.As(audit.Actor{}), NewAddress{Email: "thief@a.test", Password: old})
			return err
		},
		"a second factor": func(ctx context.Context, r *Registry, p Principal) error {
			_, err := r.BeginTOTP(ctx, p.As(audit.Actor{}), old)
			return err
		},
		"a second factor, turned off": func(ctx context.Context, r *Registry, p Principal) error {
			return r.DisableTOTP(ctx, p.As(audit.Actor{}), old, "123456")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, ctx := newTestRegistry(t), t.Context()
			u, err := r.AddUser(ctx, audit.Actor{}, NewUser{Email: "ann@a.test", Password: old, Org: "acme"})
			if err != nil {
				t.Fatal(err)
			}
			s, err := r.OpenSession(ctx, u.ID, "acme", MethodBrowser, audit.Actor{})
			if err != nil {
				t.Fatal(err)
			}
			r.hasher.compare = func(password, hash string) (bool, error) {
				if _, err := r.db.ExecContext(ctx, "UPDATE users SET password = 'of the reset' WHERE id = $1", u.ID); err != nil {
					t.Error(err)
				}
				return argon2id.ComparePasswordAndHash(password, hash)
			}
			if err := do(ctx, r, s.Principal); bridge.CodeOf(err) != CodeLoginExpired {
				t.Errorf("it happens: %v", err)
			}
			var password string
			if err := r.db.QueryRowContext(ctx, "SELECT password FROM users WHERE id = $1", u.ID).Scan(&password); err != nil || password != "of the reset" {
				t.Errorf("the password of the reset is gone: %v", err)
			}
		})
	}
}

// A wrong password costs one hash of the same parameters, whether the person is known, unknown, or has no password.
func TestUnknownUsersCostTheSameWork(t *testing.T) {
	r := newTestRegistry(t)
	db := r.db
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
