package audit

import (
	"context"
	"database/sql"
	"time"

	"github.com/acebridge/ace/bridge/sqldb"
)

// Replaced writes an entry if the operator has replaced the database by this one.
func Replaced(ctx context.Context, db *sqldb.DB, org string, now time.Time) error {
	before := db.Replaced()
	if before == "" {
		return nil
	}
	return db.Tx(ctx, func(tx *sql.Tx) error {
		return Write(ctx, tx, now, Entry{Actor: Actor{ID: "operator", Org: org}, Action: "database.replace",
			Details: map[string]string{"before": before}})
	})
}
