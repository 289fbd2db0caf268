package tokens_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/upkeep"
)

// withdrawn are the members whose tokens are to be withdrawn now; what is returned counts as delivered.
func (f *fixture) withdrawn(key bridge.Key) []string {
	f.T.Helper()
	out := map[string]int64{}
	for _, w := range f.Statements() {
		statement, err := bridge.VerifyWithdrawal(w.Statement, key.PublicKey(), f.Clock())
		if err != nil || w.Server != "https://ace.a.test" || w.KeyID != key.ID.String() {
			f.T.Fatalf("%+v: %v", w, err)
		}
		maps.Copy(out, statement.Until)
		if err := f.Tokens.Withdrawn(f.T.Context(), w); err != nil {
			f.T.Fatal(err)
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// The tokens that are withdrawn are those of whom a change concerns, and no others.
func TestWithdrawalsFollowTheRules(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, boss := f.Person("owner@a.test", "acme", bridge.RoleAdmin), f.Person("boss@a.test", "acme", bridge.RoleOwner)
		max, eve := f.Person("max@a.test", "acme", bridge.RoleMember), f.Person("eve@a.test", "acme", bridge.RoleMember)
		ci := f.Service(max, "connection:use", "connection:read")
		key := storetest.AceKey()
		c := f.Shared(owner, "https://ace.a.test", key.Text())
		hold := func() {
			t.Helper()
			f.Advance(2 * time.Second)
			for _, p := range []accounts.Principal{owner, max, eve, ci} {
				if _, err := f.Tokens.Credential(t.Context(), p, c.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		everybody := []string{"eve@a.test", ci.Email, "max@a.test"}
		slices.Sort(everybody)
		for _, step := range []struct {
			name   string
			change func()
			want   []string
		}{
			{"nothing", func() {}, nil},
			{"a new name", func() { f.Patch(owner, c.ID, api.ConnectionPatch{Name: new("other")}) }, nil},
			{"a ceiling", func() { f.Patch(owner, c.ID, storetest.Ceiling("app:*")) }, everybody},
			{"a limit", func() { must(f.Limit(owner, c.ID, eve.UserID, storetest.Limited("app:read"))) }, []string{"eve@a.test"}},
			{"a limit of who has made a key", func() { must(f.Limit(owner, c.ID, max.UserID, storetest.Limited("app:read"))) }, slices.DeleteFunc(slices.Clone(everybody), func(s string) bool { return s == "eve@a.test" })},
			{"another role", func() {
				must(storetest.Second(f.Accounts.ChangeRole(t.Context(), boss.As(audit.Actor{}), "acme", eve.UserID, "viewer")))
			}, []string{"eve@a.test"}},
			{"private", func() { f.Patch(owner, c.ID, api.ConnectionPatch{Visibility: new(connections.Private)}) }, everybody},
		} {
			eve.Role = map[bool]bridge.Role{true: bridge.RoleViewer, false: bridge.RoleMember}[step.name == "private"]
			hold()
			step.change()
			if got := f.withdrawn(key); !slices.Equal(got, step.want) {
				t.Errorf("%s: %v, want %v", step.name, got, step.want)
			}
			if got := f.withdrawn(key); got != nil {
				t.Errorf("%s: again %v", step.name, got)
			}
		}
		f.Patch(owner, c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)})
		hold()
		if _, err := f.Accounts.RemoveMember(t.Context(), boss.As(audit.Actor{}), "acme", eve.UserID); err != nil {
			t.Fatal(err)
		}
		if got := f.withdrawn(key); !slices.Equal(got, []string{"eve@a.test"}) {
			t.Errorf("removed: %v", got)
		}
		f.Dead = map[uuid.UUID]bool{uuid.MustParse(ci.UserID): true}
		if got := f.withdrawn(key); !slices.Equal(got, []string{ci.Email}) {
			t.Errorf("an API key that was revoked: %v", got)
		}
	})
}

// What was not delivered is made again, until the holder is entitled again; also when the tokens have expired, as there may be
// personal keys that were made with them.
func TestWithdrawalsAreMadeAgain(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, max := f.Person("owner@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		c := f.Shared(owner, "https://ace.a.test", storetest.AceKey().Text())
		share := func(visibility string) { f.Patch(owner, c.ID, api.ConnectionPatch{Visibility: &visibility}) }
		due := func(what string, want int) {
			t.Helper()
			if got := f.Statements(); len(got) != want {
				t.Errorf("%s: %d are due, want %d", what, len(got), want)
			}
		}
		if _, err := f.Tokens.Credential(t.Context(), max, c.ID); err != nil {
			t.Fatal(err)
		}
		share(connections.Private)
		due("at once", 1)
		due("while it is under way", 0)
		f.Advance(16 * time.Second)
		due("again", 1)
		f.Advance(16 * time.Second)
		share(connections.Organization)
		due("shared again", 0)
		share(connections.Private)
		f.Advance(bridge.MaxAccessTokenLife)
		due("when it has expired: there may be keys that were made with it", 1)
	})
}

// The key of a connection that is gone dies as a whole: there is nothing to withdraw.
func TestNothingIsWithdrawnWithoutAKey(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, max := f.Person("owner@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		for name, end := range map[string]func(id string){
			"disconnected": func(id string) {
				if _, err := f.Connections.Delete(t.Context(), owner.As(audit.Actor{}), id); err != nil {
					t.Fatal(err)
				}
			},
			"connected anew": func(id string) {
				f.Register(owner, "https://ace.a.test", storetest.AceKey().Text().Reveal())
				f.Patch(owner, id, api.ConnectionPatch{Visibility: new(connections.Private)})
			},
			"moved": func(id string) {
				f.Patch(owner, id, api.ConnectionPatch{Visibility: new(connections.Private), ServerURL: new("https://moved.a.test")})
			},
		} {
			c := f.Shared(owner, "https://ace.a.test", storetest.AceKey().Text())
			if _, err := f.Tokens.Credential(t.Context(), max, c.ID); err != nil {
				t.Fatal(err)
			}
			end(c.ID)
			for range 2 {
				if due := f.Statements(); len(due) != 0 {
					t.Errorf("%s: %d are due", name, len(due))
				}
			}
		}
	})
}

// Withdrawals have numbers and say what is left to the personal keys of a member, also long after the last access token.
func TestWithdrawalsSayWhatIsLeft(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, max := f.Person("owner@a.test", "acme", bridge.RoleOwner), f.Person("max@a.test", "acme", bridge.RoleMember)
		key := storetest.AceKey()
		c := f.Shared(owner, "https://ace.a.test", key.Text())
		number := func() int64 {
			t.Helper()
			credential, err := f.Tokens.Credential(t.Context(), max, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			claims, err := bridge.VerifyAccess(credential.Value.Secret, key.PublicKey(), []bridge.ServerURL{c.ServerURL}, f.Clock())
			if err != nil {
				t.Fatal(err)
			}
			return claims.Number
		}
		role := func(to string) func() {
			return func() {
				if _, err := f.Accounts.ChangeRole(t.Context(), owner.As(audit.Actor{}), "acme", max.UserID, to); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := number(); n != 1 {
			t.Fatalf("the first token has the number %d", n)
		}
		for i, step := range []struct {
			name   string
			change func()
			left   string // "": nothing
		}{
			{"a ceiling", func() { f.Patch(owner, c.ID, storetest.Ceiling("app:*", "key:*")) }, "app:* key:* member"},
			{"a limit", func() { _ = f.Limit(owner, c.ID, max.UserID, storetest.Limited("app:read")) }, "app:read member"},
			{"no limit", func() { f.LimitOff(owner, c.ID, max.UserID) }, "app:* key:* member"},
			{"a role", role("viewer"), "app:* key:* viewer"},
			{"private", func() { f.Patch(owner, c.ID, api.ConnectionPatch{Visibility: new(connections.Private)}) }, ""},
		} {
			f.Advance(10 * time.Minute) // no access token is alive
			step.change()
			due := f.Statements()
			if len(due) != 1 {
				t.Fatalf("%s: %d statements", step.name, len(due))
			}
			w, err := bridge.VerifyWithdrawal(due[0].Statement, key.PublicKey(), f.Clock())
			if err != nil || w.Number != int64(i)+2 || !w.Names("max@a.test") {
				t.Fatalf("%s: %+v %v", step.name, w, err)
			}
			got := ""
			if left, has := w.Left("max@a.test"); has {
				got = left.Scope + " " + string(left.Role)
			}
			if got != step.left {
				t.Errorf("%s: left is %q, want %q", step.name, got, step.left)
			}
			if err := f.Tokens.Withdrawn(t.Context(), due[0]); err != nil {
				t.Fatal(err)
			}
			if again := f.Statements(); len(again) != 0 {
				t.Errorf("%s: %d again", step.name, len(again))
			}
		}
		f.Patch(owner, c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)})
		max.Role = bridge.RoleViewer
		if n := number(); n != 6 {
			t.Errorf("a new token has the number %d, which the last withdrawal covers", n)
		}
	})
}

// What is handed out while a withdrawal is under way is not concerned by it, however often it is made again.
func TestWithdrawalsKeepTheirNumber(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, max := f.Person("owner@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		key := storetest.AceKey()
		c := f.Shared(owner, "https://ace.a.test", key.Text())
		token := func() bridge.AccessClaims {
			t.Helper()
			credential, err := f.Tokens.Credential(t.Context(), max, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			claims, err := bridge.VerifyAccess(credential.Value.Secret, key.PublicKey(), []bridge.ServerURL{c.ServerURL}, f.Clock())
			if err != nil {
				t.Fatal(err)
			}
			return claims
		}
		token()
		f.Patch(owner, c.ID, storetest.Ceiling("app:*", "key:*"))
		statement := func() bridge.Withdrawal {
			t.Helper()
			due := f.Statements()
			if len(due) != 1 {
				t.Fatalf("%d statements", len(due))
			}
			w, err := bridge.VerifyWithdrawal(due[0].Statement, key.PublicKey(), f.Clock())
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		first := statement()
		now := token() // within the same second: a server that goes by times takes it, too
		f.Advance(16 * time.Second)
		again := statement()
		if now.Number != first.Number || again.Number != first.Number || again.Until["max@a.test"] >= now.IssuedAt {
			t.Errorf("a token of number %d at %d, withdrawals %+v and %+v", now.Number, now.IssuedAt, first, again)
		}
	})
}

// Changes that follow each other within seconds are each stated at once.
func TestWithdrawalsOneAfterAnother(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, max := f.Person("owner@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		key := storetest.AceKey()
		c := f.Shared(owner, "https://ace.a.test", key.Text())
		if _, err := f.Tokens.Credential(t.Context(), max, c.ID); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := f.Limit(owner, c.ID, max.UserID, storetest.Limited("app:read")); err != nil {
				t.Fatal(err)
			}
			if got := f.withdrawn(key); !slices.Equal(got, []string{max.Email}) {
				t.Errorf("%d: limited: withdrawn from %v", i, got)
			}
			f.LimitOff(owner, c.ID, max.UserID)
			if got := f.withdrawn(key); !slices.Equal(got, []string{max.Email}) {
				t.Errorf("%d: the limit ends: withdrawn from %v", i, got)
			}
		}
	})
}

// A key that was made with others is limited with each of them, in Go and in SQL.
func TestKeysAreLimitedWithTheirParents(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, max := f.Person("owner@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		key := storetest.AceKey()
		c := f.Shared(owner, "https://ace.a.test", key.Text())
		parents := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
		child, err := f.Accounts.KeyPrincipal(t.Context(), bridge.Identity{Type: bridge.TypeAPIKey, KeyID: uuid.New(), Kind: bridge.KindLive,
			Subject: max.Email, Org: "acme", Scopes: bridge.Scopes{"connection:use"}}, accounts.KeyFacts{Name: "child", Parents: parents})
		if err != nil {
			t.Fatal(err)
		}
		for _, parent := range parents {
			f.Advance(2 * time.Second)
			if got := f.ScopesOf(child, c.ID, key, c.ServerURL); got != "*" {
				t.Fatalf("before: %s", got)
			}
			if err := f.Limit(owner, c.ID, parent.String(), storetest.Limited("app:read")); err != nil {
				t.Fatal(err)
			}
			if got := f.withdrawn(key); !slices.Equal(got, []string{child.Email}) {
				t.Errorf("withdrawn from %v", got)
			}
			if got := f.ScopesOf(child, c.ID, key, c.ServerURL); got != "app:read" {
				t.Errorf("under a limited parent: %s", got)
			}
			if err := f.Limit(owner, c.ID, parent.String(), storetest.Nothing()); err != nil {
				t.Fatal(err)
			}
			if got := f.ScopesOf(child, c.ID, key, c.ServerURL); got != "connection_unknown" {
				t.Errorf("under a parent that is limited to nothing: %s", got)
			}
			f.LimitOff(owner, c.ID, parent.String())
			_ = f.withdrawn(key)
		}
	})
}

// The key that a person has created speaks for its own subject, so that its connection is its owner's alone.
func TestKeysThatCannotActAs(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, max := f.Person("owner@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		for _, kind := range []bridge.KeyKind{bridge.KindLive, bridge.KindTest} {
			key := bridge.NewKey(kind, uuid.New())
			server := "https://" + string(kind) + ".a.test"
			c := f.Register(owner, server, key.Text().Reveal())
			share := api.ConnectionPatch{Visibility: new(connections.Organization)}
			if _, err := f.Connections.Patch(t.Context(), owner.As(audit.Actor{}), c.ID, share); bridge.CodeOf(err) != "key_cannot_act_as" {
				t.Errorf("%s: shared: %v", kind, err)
			}
			target, err := f.Upkeep.Target(t.Context(), owner, c.ID)
			if err != nil || target.Credential.Type != "api_key" {
				t.Fatalf("%s: the first probe asks with %s, %v", kind, target.Credential.Type, err)
			}
			if err := f.Upkeep.SetStatus(t.Context(), target, upkeep.Status{Status: connections.StatusOnline, Subject: "ops"}); err != nil {
				t.Fatal(err)
			}
			subject := func(credential api.Credential) bridge.AccessClaims {
				t.Helper()
				claims, err := bridge.VerifyAccess(credential.Value.Secret, key.PublicKey(), []bridge.ServerURL{bridge.ServerURL(server)}, f.Clock())
				if err != nil {
					t.Fatal(err)
				}
				return claims
			}
			credential, err := f.Tokens.Credential(t.Context(), owner, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			if claims := subject(credential); claims.Subject != "ops" || claims.Probe {
				t.Errorf("%s: a token for %q", kind, claims.Subject)
			}
			if target, err = f.Upkeep.Target(t.Context(), owner, c.ID); err != nil {
				t.Fatal(err)
			}
			if claims := subject(target.Credential); claims.Subject != "ops" || !claims.Probe {
				t.Errorf("%s: a probe for %q", kind, claims.Subject)
			}
			if got, err := f.Connections.Connection(t.Context(), owner, c.ID); err != nil || !got.OwnerOnly {
				t.Errorf("%s: %+v %v", kind, got, err)
			}
		}
		// Shared, then given such a key: members are out.
		first := bridge.NewKey(bridge.KindSK, uuid.New())
		c := f.Shared(owner, "https://ace.a.test", first.Text())
		if got := f.ScopesOf(max, c.ID, first, c.ServerURL); got != "*" {
			t.Fatal(got)
		}
		f.Register(owner, "https://ace.a.test", bridge.NewKey(bridge.KindLive, uuid.New()).Text().Reveal())
		if got := f.ScopesOf(max, c.ID, first, c.ServerURL); got != "key_cannot_act_as" {
			t.Errorf("a member of a connection that was shared before: %s", got)
		}
		// Where the server says that the key may, it is like a connection's own.
		target, err := f.Upkeep.Target(t.Context(), owner, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Upkeep.SetStatus(t.Context(), target, upkeep.Status{Status: connections.StatusOnline, Subject: "ops", ActsAs: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Tokens.Credential(t.Context(), max, c.ID); err != nil {
			t.Errorf("a member, by a key that may act as others: %v", err)
		}
	})
}
