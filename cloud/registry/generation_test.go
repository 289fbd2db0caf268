package registry_test

import (
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/registry"
)

// The cloud names the highest change number that a server has told in the tokens for it, as long as the key is the same; and
// a server that goes on with a database that had lost changes is sent the revocations again that it took before.
func TestServerNumbers(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		const url = "https://ace.a.test"
		old, key := aceKey(), aceKey()
		f.register(p, url, old.Text().Reveal())
		c := f.register(p, url, key.Text().Reveal())
		named := func(key bridge.Key) int64 {
			target, err := f.Target(t.Context(), p, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			claims, err := bridge.VerifyAccess(target.Credential.Value.Secret, key.PublicKey(), []bridge.ServerURL{url}, f.now)
			if err != nil {
				t.Fatal(err)
			}
			return claims.Generation
		}
		told := func(last, restored int64) {
			target, err := f.Target(t.Context(), p, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.SetStatus(t.Context(), target, registry.Status{Status: registry.StatusOnline,
				Numbers: registry.ChangeNumbers{Last: last, Restored: restored}}); err != nil {
				t.Fatal(err)
			}
		}
		due := func() []registry.Revocation {
			due, err := f.DueRevocations(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			return due
		}
		for _, step := range []struct{ last, want int64 }{{0, 0}, {7, 7}, {5, 7}, {9, 9}} {
			if told(step.last, 0); named(key) != step.want {
				t.Errorf("after %d the token names %d, want %d", step.last, named(key), step.want)
			}
		}
		if err := f.RevocationDelivered(t.Context(), due()[0].ID, audit.Actor{ID: "system"}); err != nil {
			t.Fatal(err)
		}
		f.advance(10 * 24 * time.Hour)
		if told(20, 0); len(due()) != 0 {
			t.Error("a delivered revocation is sent again for nothing")
		}
		told(31, 30)
		again := due()
		if len(again) != 1 || again[0].KeyID != old.ID.String() {
			t.Fatalf("to send again: %+v", again)
		}
		if _, err := bridge.VerifyRevocation(again[0].Token, old.PublicKey()); err != nil {
			t.Errorf("what is sent again does not verify: %v", err)
		}
		if err := f.RevocationDelivered(t.Context(), again[0].ID, audit.Actor{ID: "system"}); err != nil {
			t.Fatal(err)
		}
		if told(32, 30); len(due()) != 0 {
			t.Error("a revocation is sent again for the same restore")
		}
		other := aceKey()
		f.register(p, url, other.Text().Reveal())
		if n := named(other); n != 0 {
			t.Errorf("the token of another key names %d", n)
		}
	})
}
