package signin_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/alexedwards/argon2id"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/joining"
	"github.com/acebridge/ace/cloud/lockout"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/vault"
)

const rightPassword = "correct horse battery"

func TestMain(m *testing.M) { sqldbtest.Main(m, schema.Migrate) }

// stores are those that check a password, over an empty database.
type stores struct {
	db        *schema.DB
	hasher    *passwords.Hasher
	sessions  *accounts.Sessions
	factors   *factors.Store
	addresses *addresses.Store
	signin    *signin.Store
	passwords *signin.Passwords
	signup    *signup.Store
}

func newStores(t *testing.T) stores {
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
	var st stores
	if st.db, err = schema.New(t.Context(), db, schema.Config{}, log); err != nil {
		t.Fatal(err)
	}
	if st.hasher, err = passwords.New(passwords.Cost{MemoryKiB: 64, Iterations: 1}); err != nil {
		t.Fatal(err)
	}
	mail := outbox.New(outbox.Config{DB: st.db, Vault: v, Mail: true}, log)
	people, sessions := accounts.New(accounts.Config{DB: st.db, Outbox: mail}, log)
	tries := lockout.New(st.db)
	members := joining.New(joining.Config{DB: st.db, Accounts: people, Sessions: sessions})
	st.sessions = sessions
	st.factors = factors.New(factors.Config{DB: st.db, Accounts: people, Outbox: mail, Vault: v, Lockout: tries, Hasher: st.hasher})
	st.addresses = addresses.New(addresses.Config{DB: st.db, Accounts: people, Sessions: sessions, Outbox: mail, Factors: st.factors}, log)
	var links *signin.Links
	st.signin, st.passwords, links = signin.New(signin.Config{DB: st.db, Accounts: people, Sessions: sessions, Outbox: mail, Joining: members,
		Factors: st.factors, Addresses: st.addresses, Lockout: tries, Hasher: st.hasher})
	st.signup = signup.New(signup.Config{DB: st.db, Accounts: people, Sessions: sessions, Outbox: mail, Joining: members, Links: links,
		Hasher: st.hasher}, log)
	people.UseHooks(accounts.Hooks{RightsChanged: func() {}, SecondFactors: st.factors.SecondFactors,
		Voiders: slices.Concat(people.OwnVoiders(), st.signin.Voiders(), st.addresses.Voiders(), st.factors.Voiders())})
	return st
}

// A reset while the old password is being checked is the last word: what the check was for does not happen.
func TestPasswordChangesDuringItsCheck(t *testing.T) {
	old := bridge.NewSecret(rightPassword)
	for name, do := range map[string]func(ctx context.Context, st stores, p accounts.Principal) error{
		"a new password": func(ctx context.Context, st stores, p accounts.Principal) error {
			return st.passwords.Change(ctx, p.As(audit.Actor{}), old, bridge.NewSecret("the thief's password"))
		},
		"another address": func(ctx context.Context, st stores, p accounts.Principal) error {
			_, err := st.addresses.Ask(ctx, p.As(audit.Actor{}), addresses.Request{Email: "thief@a.test", Password: old})
			return err
		},
		"a second factor": func(ctx context.Context, st stores, p accounts.Principal) error {
			_, err := st.factors.Begin(ctx, p.As(audit.Actor{}), old)
			return err
		},
		"a second factor, turned off": func(ctx context.Context, st stores, p accounts.Principal) error {
			return st.factors.Disable(ctx, p.As(audit.Actor{}), old, "123456")
		},
	} {
		t.Run(name, func(t *testing.T) {
			st, ctx := newStores(t), t.Context()
			u, err := st.signup.AddUser(ctx, audit.Actor{}, signup.NewUser{Email: "ann@a.test", Password: old, Org: "acme"})
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
	st := newStores(t)
	db := st.db
	for _, email := range []string{"ann@a.test", "provider@a.test"} {
		if _, err := st.signup.AddUser(t.Context(), audit.Actor{}, signup.NewUser{Email: email, Password: bridge.NewSecret("correct horse battery"), Org: "acme"}); err != nil {
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
		_, err := st.signin.Authenticate(t.Context(), signin.Login{Email: email, Password: bridge.NewSecret("wrong horse")}, audit.Actor{Address: "192.0.2.1"})
		if bridge.CodeOf(err) != "login_failed" {
			t.Errorf("%s: %v", email, err)
		}
		if len(work[email]) != 1 || work[email][0] != work["ann@a.test"][0] {
			t.Errorf("%s costs other work than somebody known: %+v", email, work)
		}
	}
}
