package registry_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/registry"
)

// withdrawn are the members whose tokens are to be withdrawn now; what is returned counts as delivered.
func (f *fixture) withdrawn(key bridge.Key) []string {
	f.t.Helper()
	out := map[string]int64{}
	for _, w := range f.statements() {
		statement, err := bridge.VerifyWithdrawal(w.Statement, key.PublicKey(), f.clock())
		if err != nil || w.Server != "https://ace.a.test" || w.KeyID != key.ID.String() {
			f.t.Fatalf("%+v: %v", w, err)
		}
		maps.Copy(out, statement.Until)
		if err := f.Withdrawn(f.t.Context(), w); err != nil {
			f.t.Fatal(err)
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// statements are those to deliver now.
func (f *fixture) statements() (out []registry.Withdrawal) {
	f.t.Helper()
	lost, err := f.LostTokens(f.t.Context(), func(id uuid.UUID) bool { return !f.dead[id] })
	if err != nil {
		f.t.Fatal(err)
	}
	for _, l := range lost {
		w, ok, err := f.WithdrawTokens(f.t.Context(), l)
		if err != nil {
			f.t.Fatal(err)
		}
		if ok {
			out = append(out, w)
		}
	}
	return out
}

// The tokens that are withdrawn are those of whom a change concerns, and no others.
func TestWithdrawalsFollowTheRules(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, boss := f.person("owner@a.test", "acme", bridge.RoleAdmin), f.person("boss@a.test", "acme", bridge.RoleOwner)
		max, eve := f.person("max@a.test", "acme", bridge.RoleMember), f.person("eve@a.test", "acme", bridge.RoleMember)
		ci := f.service(max, "connection:use", "connection:read")
		key := aceKey()
		c := f.shared(owner, "https://ace.a.test", key.Text())
		hold := func() {
			t.Helper()
			f.advance(2 * time.Second)
			for _, p := range []registry.Principal{owner, max, eve, ci} {
				if _, err := f.Credential(t.Context(), p, c.ID); err != nil {
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
			{"a new name", func() { f.patch(owner, c.ID, api.ConnectionPatch{Name: new("other")}) }, nil},
			{"a ceiling", func() { f.patch(owner, c.ID, ceiling("app:*")) }, everybody},
			{"a limit", func() { must(f.limit(owner, c.ID, eve.UserID, limited("app:read"))) }, []string{"eve@a.test"}},
			{"a limit of who has made a key", func() { must(f.limit(owner, c.ID, max.UserID, limited("app:read"))) }, slices.DeleteFunc(slices.Clone(everybody), func(s string) bool { return s == "eve@a.test" })},
			{"another role", func() { must(second(f.ChangeRole(t.Context(), boss, "acme", eve.UserID, "viewer", audit.Actor{}))) }, []string{"eve@a.test"}},
			{"private", func() { f.patch(owner, c.ID, api.ConnectionPatch{Visibility: new(registry.Private)}) }, everybody},
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
		f.patch(owner, c.ID, api.ConnectionPatch{Visibility: new(registry.Organization)})
		hold()
		if _, err := f.RemoveMember(t.Context(), boss, "acme", eve.UserID, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		if got := f.withdrawn(key); !slices.Equal(got, []string{"eve@a.test"}) {
			t.Errorf("removed: %v", got)
		}
		f.dead = map[uuid.UUID]bool{uuid.MustParse(ci.UserID): true}
		if got := f.withdrawn(key); !slices.Equal(got, []string{ci.Email}) {
			t.Errorf("an API key that was revoked: %v", got)
		}
	})
}

// What was not delivered is made again, until the tokens have expired by themselves or their holder is entitled again.
func TestWithdrawalsAreMadeAgain(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, max := f.person("owner@a.test", "acme", bridge.RoleAdmin), f.person("max@a.test", "acme", bridge.RoleMember)
		c := f.shared(owner, "https://ace.a.test", aceKey().Text())
		share := func(visibility string) { f.patch(owner, c.ID, api.ConnectionPatch{Visibility: &visibility}) }
		due := func(what string, want int) {
			t.Helper()
			if got := f.statements(); len(got) != want {
				t.Errorf("%s: %d are due, want %d", what, len(got), want)
			}
		}
		if _, err := f.Credential(t.Context(), max, c.ID); err != nil {
			t.Fatal(err)
		}
		share(registry.Private)
		due("at once", 1)
		due("while it is under way", 0)
		f.advance(16 * time.Second)
		due("again", 1)
		f.advance(16 * time.Second)
		share(registry.Organization)
		due("shared again", 0)
		share(registry.Private)
		f.advance(bridge.MaxAccessTokenLife)
		due("when it has expired", 0)
	})
}

// The key of a connection that is gone dies as a whole: there is nothing to withdraw.
func TestNothingIsWithdrawnWithoutAKey(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, max := f.person("owner@a.test", "acme", bridge.RoleAdmin), f.person("max@a.test", "acme", bridge.RoleMember)
		for name, end := range map[string]func(id string){
			"disconnected": func(id string) {
				if _, err := f.Delete(t.Context(), owner, id, audit.Actor{}); err != nil {
					t.Fatal(err)
				}
			},
			"connected anew": func(id string) {
				f.register(owner, "https://ace.a.test", aceKey().Text().Reveal())
				f.patch(owner, id, api.ConnectionPatch{Visibility: new(registry.Private)})
			},
			"moved": func(id string) {
				f.patch(owner, id, api.ConnectionPatch{Visibility: new(registry.Private), ServerURL: new("https://moved.a.test")})
			},
		} {
			c := f.shared(owner, "https://ace.a.test", aceKey().Text())
			if _, err := f.Credential(t.Context(), max, c.ID); err != nil {
				t.Fatal(err)
			}
			end(c.ID)
			for range 2 {
				if due := f.statements(); len(due) != 0 {
					t.Errorf("%s: %d are due", name, len(due))
				}
			}
		}
	})
}
