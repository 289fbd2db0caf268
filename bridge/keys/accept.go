package keys

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
)

// AcceptedClock is the outcome of accepting an earlier time.
type AcceptedClock struct {
	Was   time.Time // the newest time seen before
	Now   time.Time
	Ended int64 // keys whose end, by the later clock, was recorded as final
}

// Cut ends, in another table, what expires after now and no later than was. Both are unix seconds.
type Cut func(ctx context.Context, tx *sql.Tx, now, was int64) error

// AcceptClock sets the newest time seen back to now.
//
// Processes may be using the database meanwhile. Whatever had ended by the later clock stays ended: it is recorded as ended
// now. It fails with [bridge.CodeClockNotBehind] if the clock is not behind.
func AcceptClock(ctx context.Context, db *sqldb.DB, now time.Time, actor audit.Actor, also ...Cut) (AcceptedClock, error) {
	out := AcceptedClock{Now: time.Unix(now.Unix(), 0).UTC()}
	err := db.Tx(ctx, func(tx *sql.Tx) error {
		var version, newest int64
		if err := tx.QueryRowContext(ctx, `UPDATE key_changes SET version = version + 1, epoch = epoch + 1 WHERE id = 1
			RETURNING version, newest`).Scan(&version, &newest); err != nil {
			return fmt.Errorf("accept the clock: %w", err)
		}
		if newest <= now.Unix() {
			return bridge.E(bridge.Conflict, bridge.CodeClockNotBehind,
				"the clock is not behind: the newest time seen is %s, and it is %s now",
				time.Unix(newest, 0).UTC().Format(time.RFC3339), out.Now.Format(time.RFC3339))
		}
		out.Was = time.Unix(newest, 0).UTC()
		if _, err := tx.ExecContext(ctx, `UPDATE key_changes SET newest = $1, accepted = $1,
			ended = CASE WHEN ended > newest THEN ended ELSE newest END WHERE id = 1`, now.Unix()); err != nil {
			return fmt.Errorf("accept the clock: %w", err)
		}
		cut := func(column string) string {
			return "CASE WHEN " + column + " > $1 AND " + column + " <= $2 THEN $1 ELSE " + column + " END"
		}
		//nolint:gosec // columns named above
		result, err := tx.ExecContext(ctx, "UPDATE api_keys SET expires_at = "+cut("expires_at")+", confirm_by = "+cut("confirm_by")+
			", prev_until = "+cut("prev_until")+`, version = $3 WHERE (expires_at > $1 AND expires_at <= $2)
			OR (confirm_by > $1 AND confirm_by <= $2) OR (prev_until > $1 AND prev_until <= $2)`,
			now.Unix(), newest, version)
		if err != nil {
			return fmt.Errorf("write down what has ended: %w", err)
		}
		if out.Ended, err = result.RowsAffected(); err != nil {
			return fmt.Errorf("write down what has ended: %w", err)
		}
		for _, cut := range also {
			if err := cut(ctx, tx, now.Unix(), newest); err != nil {
				return err
			}
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "clock.accept", Target: "clock", Details: map[string]string{
			"was": out.Was.Format(time.RFC3339), "now": out.Now.Format(time.RFC3339), "ended_keys": strconv.FormatInt(out.Ended, 10)}})
	})
	return out, err
}

// RestoreChoice says how to accept a database that has lost changes.
type RestoreChoice struct {
	Known       int64 // the highest change number known outside the database
	DisableKeys bool  // disable every key that a person created, until somebody enables it
}

// Restored is the outcome of accepting a restored database.
type Restored struct {
	Found, Known, Now int64
	Unconfirmed       int64           // connections' keys, which die unless they are used within a day
	Keys              []record.Record // created by people; each may have been revoked or replaced since the backup
}

const (
	restoredConfirm = 24 * time.Hour
	maxTokenLife    = time.Hour // of any kind of access token
)

// Settle ends, in another table, what must not outlive a restore. It runs in the same transaction.
type Settle func(ctx context.Context, tx *sql.Tx, now time.Time) error

// AcceptRestore accepts a database that has lost changes.
//
// From then on connect tokens and access tokens from before now are refused, and so are secrets that a rotation had replaced. A
// connection's key dies unless it is used within a day. Keys that people created are returned, for an admin to decide on.
func AcceptRestore(ctx context.Context, db transactor, now time.Time, c RestoreChoice, actor audit.Actor, also ...Settle) (Restored, error) {
	var out Restored
	err := db.Tx(ctx, func(tx *sql.Tx) error {
		out = Restored{}
		if err := tx.QueryRowContext(ctx, "UPDATE key_changes SET epoch = epoch + 1 WHERE id = 1 RETURNING version, known").
			Scan(&out.Found, &out.Known); err != nil {
			return fmt.Errorf("accept the database: %w", err)
		}
		out.Known = max(out.Known, c.Known)
		out.Now = max(out.Found, out.Known) + 1
		if _, err := tx.ExecContext(ctx, `UPDATE key_changes SET version = $1, known = $1, restored = $1, accepted = $2,
			newest = CASE WHEN newest < $2 THEN $2 ELSE newest END, ended = CASE WHEN ended < $3 THEN $3 ELSE ended END WHERE id = 1`,
			out.Now, now.Unix(), now.Add(maxTokenLife).Unix()); err != nil {
			return fmt.Errorf("accept the database: %w", err)
		}
		if err := settleKeys(ctx, tx, now, c, &out); err != nil {
			return err
		}
		for _, settle := range also {
			if err := settle(ctx, tx, now); err != nil {
				return err
			}
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "database.accept", Target: "database", Details: map[string]string{
			"found": strconv.FormatInt(out.Found, 10), "known": strconv.FormatInt(out.Known, 10), "now": strconv.FormatInt(out.Now, 10),
			"disabled_keys": strconv.FormatBool(c.DisableKeys)}})
	})
	return out, err
}

// transactor can run transactions.
type transactor interface {
	Tx(ctx context.Context, fn func(tx *sql.Tx) error) error
}

// settleKeys decides which keys survive in a database that has lost changes.
func settleKeys(ctx context.Context, tx *sql.Tx, now time.Time, c RestoreChoice, out *Restored) error {
	if _, err := tx.ExecContext(ctx, `UPDATE api_keys SET prev_hash = '', prev_public = '', prev_until = 0, rotate_token = '', rotate_salt = '',
		version = $1 WHERE prev_until <> 0 OR rotate_token <> ''`, out.Now); err != nil {
		return fmt.Errorf("end the graces of rotations: %w", err)
	}
	result, err := tx.ExecContext(ctx, `UPDATE api_keys SET confirm_by = $1, version = $2
		WHERE kind = 'sk' AND ended_at = 0 AND (confirm_by = 0 OR confirm_by > $3) AND (expires_at = 0 OR expires_at > $3)`,
		now.Add(restoredConfirm).Unix(), out.Now, now.Unix())
	if err != nil {
		return fmt.Errorf("have connections' keys confirmed: %w", err)
	}
	if out.Unconfirmed, err = result.RowsAffected(); err != nil {
		return fmt.Errorf("have connections' keys confirmed: %w", err)
	}
	const doubtful = "kind <> 'sk' AND ended_at = 0 AND (expires_at = 0 OR expires_at > $1)"
	if c.DisableKeys {
		if _, err := tx.ExecContext(ctx, "UPDATE api_keys SET disabled_at = $1, disabled_by = 'restore', version = $2 WHERE disabled_at = 0 AND "+doubtful,
			now.Unix(), out.Now); err != nil {
			return fmt.Errorf("disable keys: %w", err)
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE api_keys SET doubted_at = $1, version = $2 WHERE "+doubtful, now.Unix(), out.Now); err != nil {
		return fmt.Errorf("mark keys: %w", err)
	}
	rows, err := tx.QueryContext(ctx, "SELECT "+record.Columns+" FROM api_keys WHERE "+doubtful+" ORDER BY id", now.Unix()) //nolint:gosec // columns of our own
	err = sqldb.Each(rows, err, func(row sqldb.Row) error {
		r, err := record.Scan(row)
		out.Keys = append(out.Keys, r.Record)
		return err
	})
	return sqldb.Wrap("list keys", err)
}
