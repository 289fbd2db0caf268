package schema_test

import (
	"os"
	"testing"

	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// A database that any earlier version has filled is brought up to date, and loses nothing.
func TestMigrationSteps(t *testing.T) {
	sqldbtest.EachEmpty(t, func(t *testing.T, dsn string) {
		db, err := sqldb.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		sqldbtest.Steps(t, db.DB, db.Dialect == sqldb.Postgres, "registry", os.DirFS("migrations"), func() {
			for query, want := range map[string]int{
				"SELECT COUNT(*) FROM users WHERE id = 'row 1' AND verified_at = created_at":                                  1,
				"SELECT COUNT(*) FROM connections c JOIN connection_changes h ON h.connection_id = c.id WHERE c.id = 'row 1'": 1,
				"SELECT COUNT(*) FROM connections WHERE id = 'row 5' AND environment = 'live' AND ceiling_preset = ''":        1,
				"SELECT COUNT(*) FROM connections WHERE id = 'row 1' AND statement_number = 1 AND key_subject = ''":           1,
			} {
				var n int
				if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != want {
					t.Errorf("%s: %d, %v; want %d", query, n, err, want)
				}
			}
		})
	})
}
