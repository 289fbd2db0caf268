package upkeep_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/upkeep"
)

// The cloud names the highest change number that a server has told in the tokens for it, as long as the key is the same; and
// a server that goes on with a database that had lost changes is sent the revocations again that it took before.
func TestServerNumbers(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		const url = "https://ace.a.test"
		old, key := storetest.AceKey(), storetest.AceKey()
		f.Register(p, url, old.Text().Reveal())
		c := f.Register(p, url, key.Text().Reveal())
		named := func(key bridge.Key) int64 {
			target, err := f.Upkeep.Target(t.Context(), p, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			claims, err := bridge.VerifyAccess(target.Credential.Value.Secret, key.PublicKey(), []bridge.ServerURL{url}, f.Clock())
			if err != nil {
				t.Fatal(err)
			}
			return claims.Generation
		}
		told := func(last, restored int64) {
			target, err := f.Upkeep.Target(t.Context(), p, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Upkeep.SetStatus(t.Context(), target, upkeep.Status{Status: connections.StatusOnline,
				Numbers: upkeep.ChangeNumbers{Last: last, Restored: restored}}); err != nil {
				t.Fatal(err)
			}
		}
		due := func() []upkeep.Revocation {
			due, err := f.Upkeep.DueRevocations(t.Context(), 10)
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
		if err := f.Upkeep.RevocationDelivered(t.Context(), due()[0].ID, audit.Actor{ID: "system"}); err != nil {
			t.Fatal(err)
		}
		f.Advance(10 * 24 * time.Hour)
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
		if err := f.Upkeep.RevocationDelivered(t.Context(), again[0].ID, audit.Actor{ID: "system"}); err != nil {
			t.Fatal(err)
		}
		if told(32, 30); len(due()) != 0 {
			t.Error("a revocation is sent again for the same restore")
		}
		other := storetest.AceKey()
		f.Register(p, url, other.Text().Reveal())
		if n := named(other); n != 0 {
			t.Errorf("the token of another key names %d", n)
		}
	})
}

// A server that goes on with a backup is told again, with their numbers and in their order, of all withdrawals that personal keys
// there may have been made before, also long after the person has left.
func TestWithdrawalsAfterARestore(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, max := f.Person("owner@a.test", "acme", bridge.RoleOwner), f.Person("max@a.test", "acme", bridge.RoleMember)
		eve, kim := f.Person("eve@a.test", "acme", bridge.RoleMember), f.Person("kim@a.test", "acme", bridge.RoleMember)
		key := storetest.AceKey()
		c := f.Shared(owner, "https://ace.a.test", key.Text())
		for _, who := range []accounts.Principal{max, eve, kim} {
			if _, err := f.Tokens.Credential(t.Context(), who, c.ID); err != nil {
				t.Fatal(err)
			}
		}
		told := func() map[string]string { // by member: number and what is left
			t.Helper()
			out := map[string]string{}
			for _, due := range f.Statements() {
				w, err := bridge.VerifyWithdrawal(due.Statement, key.PublicKey(), f.Clock())
				if err != nil {
					t.Fatal(err)
				}
				for subject := range w.Until {
					left, _ := w.Left(subject)
					out[subject] = fmt.Sprintf("%d %s", w.Number, left.Scope)
				}
				if err := f.Tokens.Withdrawn(t.Context(), due); err != nil {
					t.Fatal(err)
				}
			}
			return out
		}
		restored := func(at int64) {
			t.Helper()
			target, err := f.Upkeep.Target(t.Context(), owner, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Upkeep.SetStatus(t.Context(), target, upkeep.Status{Status: connections.StatusOnline,
				Numbers: upkeep.ChangeNumbers{Last: at + 1, Restored: at}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.Accounts.RemoveMember(t.Context(), owner.As(audit.Actor{}), "acme", eve.UserID); err != nil {
			t.Fatal(err)
		}
		first := told()
		if err := f.Limit(owner, c.ID, max.UserID, storetest.Limited("app:read")); err != nil {
			t.Fatal(err)
		}
		second := told()
		want := map[string]string{"eve@a.test": "2 ", "max@a.test": "3 app:read"}
		if maps.Copy(first, second); !maps.Equal(first, want) {
			t.Fatalf("told: %v, want %v", first, want)
		}
		f.Advance(10 * 24 * time.Hour)
		if err := f.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		if again := told(); len(again) != 0 {
			t.Fatalf("told again for nothing: %v", again)
		}
		for at := range int64(2) {
			restored(20 + 20*at)
			if got := told(); !maps.Equal(got, map[string]string{"eve@a.test": want["eve@a.test"]}) {
				t.Errorf("restored, the server is told first: %v", got)
			}
			if got := told(); !maps.Equal(got, map[string]string{"max@a.test": want["max@a.test"]}) {
				t.Errorf("restored, the server is told then: %v", got)
			}
			if restored(20 + 20*at); len(told()) != 0 {
				t.Error("told again for the same restore")
			}
		}
		if _, err := f.Connections.Delete(t.Context(), owner.As(audit.Actor{}), c.ID); err != nil {
			t.Fatal(err)
		}
		_ = f.Statements()
		f.Advance(2 * 24 * time.Hour)
		if err := f.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := f.SQL.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM handed_tokens").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d rows are left of a connection that is gone (%v)", left, err)
		}
	})
}
