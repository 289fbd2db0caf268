package signin

import (
	"context"
	"log/slog"
	"testing"

	"github.com/alexedwards/argon2id"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/vault"
)

const rightPassword = "correct horse battery"

func TestMain(m *testing.M) { sqldbtest.Main(m, schema.Migrate) }

func newTestStore(t *testing.T) *Store {
	t.Helper()
	keys, err := vault.NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.NewVault(keys)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqldb.Open(t.Context(), sqldbtest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	log := slog.New(slog.DiscardHandler)
	rows, err := schema.New(t.Context(), db, schema.Config{}, log)
	if err != nil {
		t.Fatal(err)
	}
	mail := outbox.New(outbox.Config{DB: rows, Vault: v, Mail: true}, log)
	people, sessions := accounts.New(accounts.Config{DB: rows, Outbox: mail}, log)
	st, _, err := New(Config{DB: rows, Accounts: people, Sessions: sessions, Outbox: mail, Vault: v,
		Password: passwords.Cost{MemoryKiB: 64, Iterations: 1}}, log)
	if err != nil {
		t.Fatal(err)
	}
	people.UseHooks(accounts.Hooks{Voiders: append(people.OwnVoiders(), st.Voiders()...), RightsChanged: func() {}})
	return st
}

// A reset while the old password is being checked is the last word: what the check was for does not happen.
func TestPasswordChangesDuringItsCheck(t *testing.T) {
	old := bridge.NewSecret(rightPassword)
	for name, do := range map[string]func(ctx context.Context, st *Store, p accounts.Principal) error{
		"a new password": func(ctx context.Context, st *Store, p accounts.Principal) error {
			return st.ChangePassword(ctx, p.As(audit.Actor{}), old, bridge.NewSecret("the thief's password"))
		},
		"another address": func(ctx context.Context, st *Store, p accounts.Principal) error {
			_, err := st.RequestAddress(ctx, p.As(audit.Actor{}), NewAddress{Email: "thief@a.test", Password: old})
			return err
		},
		"a second factor": func(ctx context.Context, st *Store, p accounts.Principal) error {
			_, err := st.BeginTOTP(ctx, p.As(audit.Actor{}), old)
			return err
		},
		"a second factor, turned off": func(ctx context.Context, st *Store, p accounts.Principal) error {
			return st.DisableTOTP(ctx, p.As(audit.Actor{}), old, "123456")
		},
	} {
		t.Run(name, func(t *testing.T) {
			st, ctx := newTestStore(t), t.Context()
			u, err := st.AddUser(ctx, audit.Actor{}, NewUser{Email: "ann@a.test", Password: old, Org: "acme"})
			if err != nil {
				t.Fatal(err)
			}
			s, err := st.sessions.OpenSession(ctx, u.ID, "acme", accounts.MethodBrowser, audit.Actor{})
			if err != nil {
				t.Fatal(err)
			}
			st.hasher.Compare = func(password, hash string) (bool, error) {
				if _, err := st.db.ExecContext(ctx, "UPDATE users SET password = 'of the reset' WHERE id = $1", u.ID); err != nil {
					t.Error(err)
				}
				return argon2id.ComparePasswordAndHash(password, hash)
			}
			if err := do(ctx, st, s.Principal); bridge.CodeOf(err) != bridge.CodeLoginExpired {
				t.Errorf("it happens: %v", err)
			}
			var password string
			if err := st.db.QueryRowContext(ctx, "SELECT password FROM users WHERE id = $1", u.ID).Scan(&password); err != nil || password != "of the reset" {
				t.Errorf("the password of the reset is gone: %v", err)
			}
		})
	}
}

// A wrong password costs one hash of the same parameters, whether the person is known, unknown, or has no password.
func TestUnknownUsersCostTheSameWork(t *testing.T) {
	st := newTestStore(t)
	db := st.db
	for _, email := range []string{"ann@a.test", "provider@a.test"} {
		if _, err := st.AddUser(t.Context(), audit.Actor{}, NewUser{Email: email, Password: bridge.NewSecret("correct horse battery"), Org: "acme"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE users SET password = '' WHERE email = 'provider@a.test'"); err != nil {
		t.Fatal(err)
	}
	work := map[string][]argon2id.Params{}
	for _, email := range []string{"ann@a.test", "nobody@a.test", "provider@a.test", "not an address"} {
		st.hasher.Compare = func(password, hash string) (bool, error) {
			match, params, err := argon2id.CheckHash(password, hash)
			work[email] = append(work[email], *params)
			return match, err
		}
		_, err := st.Authenticate(t.Context(), Login{Email: email, Password: bridge.NewSecret("wrong horse")}, audit.Actor{Address: "192.0.2.1"})
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
