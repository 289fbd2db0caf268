package registry_test

import (
	"database/sql"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/registry"
)

// The numbers of a restored cloud's withdrawals are above those that a server has taken from it since the backup, so that it
// hears the next one.
func TestRestoredCloudGoesOnAbove(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, max := f.Person("owner@a.test", "acme", bridge.RoleOwner), f.Person("max@a.test", "acme", bridge.RoleMember)
		key := storetest.AceKey()
		c := f.Shared(owner, "https://ace.a.test", key.Text())
		withdrawal := func(scopes ...string) int64 {
			t.Helper()
			f.Patch(owner, c.ID, storetest.Ceiling(scopes...))
			if _, err := f.Tokens.Credential(t.Context(), max, c.ID); err != nil {
				t.Fatal(err)
			}
			f.Patch(owner, c.ID, storetest.Ceiling("app:read"))
			due := f.Statements()
			if len(due) != 1 {
				t.Fatalf("%d statements", len(due))
			}
			w, err := bridge.VerifyWithdrawal(due[0].Statement, key.PublicKey(), f.Clock())
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Tokens.Withdrawn(t.Context(), due[0]); err != nil {
				t.Fatal(err)
			}
			return w.Number
		}
		var backup int64
		if err := f.SQL.QueryRowContext(t.Context(), "SELECT statement_number FROM connections").Scan(&backup); err != nil {
			t.Fatal(err)
		}
		withdrawal("app:*")
		last := withdrawal("app:*", "key:read")
		if last <= backup {
			t.Fatalf("the withdrawals end at %d, begun after %d", last, backup)
		}
		if err := f.SQL.Tx(t.Context(), func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(t.Context(), "UPDATE connections SET statement_number = $1", backup); err != nil {
				return err
			}
			return registry.SettleRestored(t.Context(), tx, f.Clock())
		}); err != nil {
			t.Fatal(err)
		}
		for _, who := range []*accounts.Principal{&owner, &max} {
			s, err := f.Sessions.OpenSession(t.Context(), who.UserID, "acme", accounts.MethodBrowser, audit.Actor{})
			if err != nil {
				t.Fatal(err)
			}
			if *who, err = f.Sessions.BrowserSession(t.Context(), s.Cookie); err != nil {
				t.Fatal(err)
			}
		}
		anew := f.Statements()
		if len(anew) != 1 {
			t.Fatalf("%d statements tell the server anew what members may", len(anew))
		}
		w, err := bridge.VerifyWithdrawal(anew[0].Statement, key.PublicKey(), f.Clock())
		if left, _ := w.Left("max@a.test"); err != nil || !w.Names("max@a.test") || left.Scope != "app:read" || w.Number <= last {
			t.Errorf("after the restore the server is told %+v, %v", w, err)
		}
		if err := f.Tokens.Withdrawn(t.Context(), anew[0]); err != nil {
			t.Fatal(err)
		}
		if n := withdrawal("app:*"); n <= last {
			t.Errorf("after the restore a withdrawal has the number %d, and the server knows %d", n, last)
		}
	})
}
