package keys_test

import (
	"database/sql"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys"
)

// TestReownIn checks that keys stay with a person who is renamed, and that someone who takes the old name owns none of them.
func TestReownIn(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		live, _ := f.create(t, func(n *keys.NewKey) { n.Owner = "ann@example.com" })
		ended, record := f.create(t, func(n *keys.NewKey) { n.Owner = "ann@example.com" })
		other, _ := f.create(t, func(n *keys.NewKey) { n.Owner = "bob@example.com" })
		if _, err := f.Revoke(t.Context(), admin, record.ID, ""); err != nil {
			t.Fatal(err)
		}
		var moved []uuid.UUID
		err := f.db.Tx(t.Context(), func(tx *sql.Tx) (err error) {
			moved, err = f.ReownIn(t.Context(), tx, "ann@example.com", "ann@new.example")
			return err
		})
		if err != nil || len(moved) != 2 {
			t.Fatalf("%v %v", moved, err)
		}
		f.TakeIn(t.Context(), moved...)
		for key, want := range map[bridge.Key]string{live: "ann@new.example", other: "bob@example.com"} {
			if id, err := f.verify(t, key.Text()); err != nil || id.Subject != want {
				t.Errorf("%s: %v, want %s", id.Subject, err, want)
			}
		}
		if r, err := f.Get(t.Context(), keys.View{Org: record.Org}, ended.ID); err != nil || r.Owner != "ann@new.example" || r.EndedAt.IsZero() {
			t.Errorf("one that has ended: %+v %v", r, err)
		}
	})
}
