package registry_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/vault"
)

// sealed is a registry with a row of every kind that is encrypted, by the first of keys.
type sealed struct {
	person     accounts.Principal
	connection string // ID
	enrolment  factors.Enrolment
	recovery   bridge.Secret
}

func (f *fixture) sealAll(keys bridge.Secret) sealed {
	f.T.Helper()
	f.Open(keys)
	if err := f.Vault.UseEncryptionKeys(f.T.Context()); err != nil {
		f.T.Fatal(err)
	}
	p := f.Person("olga@a.test", "acme", bridge.RoleOwner)
	c, _ := f.Exchanged(p, "https://a.test")
	f.exec("UPDATE connections SET rotate_at = 1")
	f.BeginRotation() // stores the key of a rotation that is under way
	gone := f.Register(p, "https://b.test", storetest.AceKey().Text().Reveal())
	if _, err := f.Connections.Delete(f.T.Context(), p.As(audit.Actor{}), gone.ID); err != nil {
		f.T.Fatal(err)
	}
	f.WithProvider(p)
	enrolment, recovery := f.Enrol(p) // and the mail that says so
	return sealed{p, c.ID, enrolment, recovery[0]}
}

// ids are the IDs of the keys of a value of ACE_DATABASE_ENCRYPTION_KEY.
func ids(t *testing.T, keys bridge.Secret) []string {
	t.Helper()
	v, err := vault.NewVault(keys)
	if err != nil {
		t.Fatal(err)
	}
	return v.KeyIDs()
}

func list(keys ...bridge.Secret) bridge.Secret {
	var out []string
	for _, k := range keys {
		out = append(out, k.Reveal())
	}
	return bridge.NewSecret(strings.Join(out, ","))
}

// older makes the rows those of a version that did not write the ID of their key.
func (f *fixture) older() {
	f.T.Helper()
	for table, column := range map[string]string{"connections": "secret", "revocations": "token", "providers": "client_secret", "outbox": "body", "totp": "secret"} {
		f.exec("UPDATE " + table + " SET " + column + " = substr(" + column + ", 10) WHERE substr(" + column + ", 9, 1) = '.'")
	}
	f.exec("UPDATE connections SET rotate_key = substr(rotate_key, 10) WHERE substr(rotate_key, 9, 1) = '.'")
}

func (f *fixture) exec(query string, args ...any) {
	f.T.Helper()
	if _, err := f.SQL.ExecContext(f.T.Context(), query, args...); err != nil {
		f.T.Fatal(err)
	}
}

const everyKind = "1 connection, 1 rotation, 1 revocation, 1 sign-in provider, 1 mail, 1 second factor"

func TestMissingEncryptionKey(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		first, second := storetest.NewKeys(t), storetest.NewKeys(t)
		f.sealAll(first)
		id, other := ids(t, first)[0], ids(t, second)[0]
		if !regexp.MustCompile("^[0-9a-f]{8}$").MatchString(id) || id == other {
			t.Fatalf("IDs of keys: %q, %q", id, other)
		}
		check := func(stage string, keys bridge.Secret, says ...string) {
			t.Helper()
			f.Open(keys)
			e := bridge.AsError(f.Vault.CheckKeys(t.Context()))
			if e.Code != "encryption_key_missing" || e.Kind != bridge.Unavailable {
				t.Fatalf("%s: %v", stage, e)
			}
			for _, text := range says {
				if !strings.Contains(e.Detail+" | "+e.Hint, text) {
					t.Errorf("%s: %q is not in: %s | %s", stage, text, e.Detail, e.Hint)
				}
			}
		}
		fine := func(stage string, keys bridge.Secret) {
			t.Helper()
			f.Open(keys)
			if err := f.Vault.CheckKeys(t.Context()); err != nil {
				t.Fatalf("%s: %v", stage, err)
			}
		}
		fine("the key itself", first)
		fine("a new first key", list(second, first))
		check("another key alone", second, "6 rows need the encryption key with the ID "+id+", which is not in ACE_DATABASE_ENCRYPTION_KEY",
			everyKind, "it was last the first key on 15 January 2027", "the key that is there has the ID "+other,
			"after a comma; if it is lost: ace cloud accept-missing-key "+id)

		f.older()
		check("rows of an older version", second, "6 rows of an older version need an encryption key", everyKind, "accept-missing-key unknown")
		fine("both keys find out whose the rows are", list(second, first))
		check("from then on their key is known", second, "6 rows need the encryption key with the ID "+id, everyKind)

		f.Open(list(second, first))
		f.Register(f.Person("nils@b.test", "other", bridge.RoleMember), "https://c.test", "plain")
		check("the new key gone from a half-rotated cloud", first, "1 row needs the encryption key with the ID "+other, "(1 connection)")
		f.Open(second)
		n, err := f.Vault.RotateEncryptionKey(t.Context(), func(int, int) {})
		if e := bridge.AsError(err); n != 0 || e.Code != "rows_unreadable" || !strings.Contains(e.Detail, "6 of 7 rows") || !strings.Contains(e.Detail, id) {
			t.Errorf("rotation without the old key: %d rows, %v", n, err)
		}
		third := storetest.NewKeys(t)
		f.Open(list(third, second))
		if n, err := f.Vault.RotateEncryptionKey(t.Context(), func(int, int) {}); n != 1 || bridge.CodeOf(err) != "rows_unreadable" {
			t.Errorf("rotation changes what it can: %d rows, %v", n, err)
		}
		f.Open(list(third, first))
		if n, err := f.Vault.RotateEncryptionKey(t.Context(), func(int, int) {}); n != 6 || err != nil {
			t.Errorf("rotation with all keys: %d rows, %v", n, err)
		}
		fine("the retired keys gone", third)
	})
}

func TestAcceptMissingKey(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		first, second := storetest.NewKeys(t), storetest.NewKeys(t)
		was := f.sealAll(first)
		id := ids(t, first)[0]
		f.Open(second)
		for _, wrong := range []string{"", "unknown", ids(t, second)[0], strings.Repeat("x", 1000)} {
			if _, err := f.Vault.AcceptMissingKey(t.Context(), wrong,
				audit.Actor{ID: "operator"}); bridge.CodeOf(err) != "encryption_key_not_missing" {
				t.Errorf("%.20q: %v", wrong, err)
			}
		}
		for range 2 {
			if kinds, err := f.Vault.AcceptMissingKey(t.Context(), id, audit.Actor{ID: "operator"}); err != nil || kinds != everyKind {
				t.Fatalf("%q %v", kinds, err)
			}
		}
		if err := f.Vault.CheckKeys(t.Context()); err != nil {
			t.Fatalf("once it is accepted: %v", err)
		}
		if err := f.Vault.UseEncryptionKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(f.Outcomes("", "encryption_key.accept_missing")); n != 2 {
			t.Errorf("%d entries in the log", n)
		}

		if due, err := f.Outbox.DueMail(t.Context(), 10); err != nil || len(due) != 0 {
			t.Errorf("mail: %v %v", due, err)
		}
		p := was.person
		if e := bridge.AsError(f.credentialError(p, was.connection)); e.Code != "row_unreadable" || e.Hint != "connect again: ace connect --server https://a.test" {
			t.Errorf("the connection: %v %s", e, e.Hint)
		}
		target, err := f.Upkeep.Target(t.Context(), p, was.connection)
		if err != nil || bridge.AsError(target.Err).Hint != "connect again: ace connect --server https://a.test" {
			t.Errorf("a probe: %v %v", err, target.Err)
		}
		f.Advance(time.Minute)
		u := accounts.User{ID: p.UserID, Email: p.Email}
		if err := f.Factors.CheckOTP(t.Context(), u, f.TOTP(was.enrolment, 0), bridge.Secret{},
			audit.Actor{}); bridge.CodeOf(err) != "row_unreadable" {
			t.Errorf("a code of the app: %v", err)
		}
		if err := f.Factors.CheckOTP(t.Context(), u, was.recovery.Reveal(), bridge.Secret{}, audit.Actor{}); err != nil {
			t.Errorf("a recovery code: %v", err)
		}
		if provider, shown, err := f.Providers.Of(t.Context(), p, "acme"); err != nil || shown.HasSecret || !provider.ClientSecret.IsZero() || shown.Issuer == "" {
			t.Errorf("the provider: %+v %v", shown, err)
		}

		f.Open(list(second, first))
		if err := f.Vault.WatchKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := f.credentialError(p, was.connection); err != nil {
			t.Errorf("once the key is back: %v", err)
		}
		f.Open(second)
		if err := f.Vault.WatchKeys(t.Context()); bridge.CodeOf(err) != "encryption_key_missing" {
			t.Errorf("a key that goes missing again: %v", err)
		}
	})
}

func (f *fixture) credentialError(p accounts.Principal, id string) error {
	_, err := f.Tokens.Credential(f.T.Context(), p, id)
	return err
}
