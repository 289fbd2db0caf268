package audit

import (
	"context"
	"database/sql"
	"time"

	"github.com/acebridge/ace/bridge/sqldb"
)

// Replaced writes that the operator has put another database in the place of the one before, if that is so.
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
