package registry_test

import (
	"testing"

	"github.com/alexedwards/argon2id"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/signup"
)

const composed, decomposed = "zo\u00eb", "zoe\u0308"

// TestNamesInOneForm: two spellings of a name are one name, also where an older version has kept the other.
func TestNamesInOneForm(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		p := f.Person(composed+"@acme.test", "acme", bridge.RoleOwner)
		register := func(server, name string) api.Connection {
			t.Helper()
			key := bridge.NewSecret("plain-" + server).Disclose()
			c, _, err := f.Connections.Register(ctx, p.As(audit.Actor{}), api.RegisterRequest{ServerURL: server, Name: name, APIKey: &key})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		first, second := register("https://a.acme.test", "\ufeff "+decomposed+"\n"), register("https://b.acme.test", decomposed)
		if first.Name != composed || second.Name != composed+"-2" {
			t.Errorf("names: %q and %q", first.Name, second.Name)
		}
		rename := func(to string) bridge.Code {
			_, err := f.Connections.Patch(ctx, p.As(audit.Actor{}), second.ID, api.ConnectionPatch{Name: &to})
			return bridge.CodeOf(err)
		}
		if got := rename(decomposed); got != "name_taken" {
			t.Errorf("two connections get one name: %q", got)
		}
		if got := rename(" \n"); got != "name_malformed" {
			t.Errorf("white space is a name: %q", got)
		}
		if found, _, err := f.Connections.SearchConnections(ctx, p, connections.Search{Text: decomposed}, "", 10); err != nil || len(found) != 2 {
			t.Errorf("a search finds %d (%v)", len(found), err)
		}
		// As older versions have kept them.
		for _, change := range []string{"UPDATE users SET email = '" + decomposed + "@b\u00fccher.test'", "UPDATE connections SET name = '" + decomposed + "' WHERE id = '" + second.ID + "'",
			"UPDATE organizations SET name = '" + decomposed + "'"} {
			if _, err := f.SQL.ExecContext(ctx, change); err != nil {
				t.Fatal(err)
			}
		}
		f.Open(storetest.NewKeys(t))
		if u, err := f.Accounts.UserByEmail(ctx, "Zo\u00cb@BU\u0308CHER.test"); err != nil || u.Email != composed+"@xn--bcher-kva.test" {
			t.Errorf("a person of an older version: %+v %v", u, err)
		}
		if orgs, err := f.Accounts.Orgs(ctx, p); err != nil || orgs[0].Name != composed {
			t.Errorf("an organization of an older version: %+v %v", orgs, err)
		}
		// The other connection has the name in its one form.
		if c, err := f.Connections.Connection(ctx, p, second.ID); err != nil || c.Name != decomposed {
			t.Errorf("a connection with a name that another has: %q %v", c.Name, err)
		}
		if rename("other") != "" || rename(decomposed) != "name_taken" {
			t.Error("it cannot be renamed, or to the name of the other")
		}
	})
}

// TestPasswordsInOneForm: keyboards differ in how they send an umlaut.
func TestPasswordsInOneForm(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		sign := func(email, with string) bridge.Code {
			_, err := f.SignIn.Authenticate(t.Context(), signin.Login{Email: email, Password: bridge.NewSecret(with)}, audit.Actor{})
			return bridge.CodeOf(err)
		}
		for email, set := range map[string]string{"a@acme.test": composed + " correct horse", "b@acme.test": decomposed + " correct horse"} {
			if _, err := f.SignUp.AddUser(t.Context(), audit.Actor{}, signup.NewUser{Email: email, Org: "acme", Password: bridge.NewSecret(set)}); err != nil {
				t.Fatal(err)
			}
			for _, with := range []string{composed, decomposed} {
				if code := sign(email, with+" correct horse"); code != "" {
					t.Errorf("%s, set as %+q, given as %+q: %s", email, set, with, code)
				}
			}
			hash, err := argon2id.CreateHash(set, &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.SQL.ExecContext(t.Context(), "UPDATE users SET password = $1 WHERE email = $2", hash, email); err != nil {
				t.Fatal(err)
			}
			if code := sign(email, set); code != "" {
				t.Errorf("a password that an older version has hashed as %+q: %s", set, code)
			}
			if sign(email, "zoe correct horse") == "" {
				t.Error("another password is right")
			}
		}
	})
}
