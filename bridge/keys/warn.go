package keys

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
)

const warnBatch = 200

// warn writes an audit entry for each key that will expire within one of the warning times. Only the nearest time counts, and
// each is written once, by whichever process is first.
func warn(ctx context.Context, db *sqldb.DB, now time.Time) error {
	for _, days := range record.WarnDays {
		due, err := dueWarnings(ctx, db, days, now.Unix())
		if err != nil {
			return err
		}
		for _, w := range due {
			err := db.Tx(ctx, func(tx *sql.Tx) error {
				first, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE api_keys SET warned_days = $1
					WHERE id = $2 AND expires_at = $3 AND (warned_days = 0 OR warned_days > $1)`, days, w.id.String(), w.expires))
				if err != nil || !first {
					return err
				}
				return audit.Write(ctx, tx, now, audit.Entry{Actor: audit.Actor{ID: "system", Org: w.org},
					Action: "key.expiring", Target: "key:" + w.id.String(), Details: map[string]string{"name": w.name,
						"owner": w.owner, "expires_at": record.At(w.expires).Format(time.RFC3339), "days": strconv.FormatInt(days, 10)}})
			})
			if err != nil {
				return fmt.Errorf("warn of an expiry: %w", err)
			}
		}
	}
	return nil
}

type warning struct {
	id               uuid.UUID
	org, name, owner string
	expires          int64
}

// dueWarnings returns keys that expire within so many days and were not warned about that yet.
func dueWarnings(ctx context.Context, db *sqldb.DB, days, now int64) ([]warning, error) {
	within := days * record.SecondsPerDay
	rows, err := db.QueryContext(ctx, `SELECT id, org, name, owner, expires_at FROM api_keys
		WHERE expires_at > $1 AND expires_at <= $2 AND expires_at - issued_at > $3 AND ended_at = 0 AND disabled_at = 0
		AND confirm_by = 0 AND (warned_days = 0 OR warned_days > $4) ORDER BY expires_at LIMIT $5`,
		now, now+within, within, days, warnBatch)
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (warning, error) {
		var w warning
		err := row.Scan(&w.id, &w.org, &w.name, &w.owner, &w.expires)
		return w, err
	})
	return out, sqldb.Wrap("look for keys that expire", err)
}
