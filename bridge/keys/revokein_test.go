package keys_test

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys"
)

// TestRevokeIn checks that keys revoked in another transaction end with its commit and not before, once memory is told.
func TestRevokeIn(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		named, _ := f.create(t, nil)
		owned, _ := f.create(t, func(n *keys.NewKey) { n.Owner = "ceo@example.com" })
		other, _ := f.create(t, nil)
		acting := f.mint(t, admin, keys.Wish{Preset: "full"})
		child := f.mint(t, f.as(t, acting), keys.Wish{Preset: "full"})
		failed := errors.New("rolled back")
		for _, outcome := range []error{failed, nil} {
			err := f.db.Tx(t.Context(), func(tx *sql.Tx) error {
				ended, err := f.RevokeIn(t.Context(), tx, keys.Ending{Actor: operator, Reason: "handed over",
					IDs: []string{named.ID.String(), acting.ID.String()}, Owner: "ceo@example.com"})
				if err != nil || len(ended) != 4 {
					t.Fatalf("%v %v", ended, err)
				}
				return outcome
			})
			if !errors.Is(err, outcome) {
				t.Fatal(err)
			}
			f.TakeIn(t.Context(), named.ID, owned.ID, acting.ID, child.ID)
			for _, key := range []struct {
				name string
				err  error
			}{{"named", verifyErr(f.verify(t, named.Text()))}, {"owned", verifyErr(f.verify(t, owned.Text()))},
				{"descendant", verifyErr(f.verify(t, child.Text()))}} {
				if (key.err == nil) != (outcome != nil) {
					t.Errorf("after %v the %s key: %v", outcome, key.name, key.err)
				}
			}
		}
		if _, err := f.verify(t, other.Text()); err != nil {
			t.Errorf("another key: %v", err)
		}
		if _, _, err := f.Create(t.Context(), operator, keys.NewKey{Kind: "live", Name: "next", Org: "acme", Owner: "ann@example.com",
			Scopes: bridge.Scopes{"app:read"}}); err != nil {
			t.Errorf("the next change: %v", err)
		}
	})
}

func verifyErr[T any](_ T, err error) error { return err }
