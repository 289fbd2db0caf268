package keys_test

import (
	"os"
	"testing"

	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// TestMigrationSteps checks that a database filled by any earlier version is migrated without losing anything.
func TestMigrationSteps(t *testing.T) {
	sqldbtest.EachEmpty(t, func(t *testing.T, dsn string) {
		db, err := sqldb.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		sqldbtest.Steps(t, db.DB, db.Dialect == sqldb.Postgres, "keys", os.DirFS("migrations"), func() {
			for query, want := range map[string]int{
				"SELECT COUNT(*) FROM api_keys WHERE id = 'row 1' AND issued_at = created_at AND version = 0 AND withdrawn = '' AND lineage = '' AND NOT parent_unknown": 1,
			} {
				var n int
				if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != want {
					t.Errorf("%s: %d, %v; want %d", query, n, err, want)
				}
			}
		})
	})
}
