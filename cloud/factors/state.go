package factors

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// On reports whether an account has a confirmed second factor.
func On(ctx context.Context, q schema.Queryer, userID string) (bool, error) {
	var on bool
	err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM totp WHERE user_id = $1 AND confirmed_at > 0)", userID).Scan(&on)
	return on, sqldb.Wrap("look up a second factor", err)
}

// SecondFactors returns the second factor of each of some people, by user ID. It is [accounts.Hooks.SecondFactors].
func (st *Store) SecondFactors(ctx context.Context, q schema.Queryer, userIDs []string) (map[string]accounts.SecondFactor, error) {
	out := make(map[string]accounts.SecondFactor, len(userIDs))
	if len(userIDs) == 0 {
		return out, nil
	}
	var places []string
	var args []any
	for _, id := range userIDs {
		args = append(args, id)
		places = append(places, "$"+strconv.Itoa(len(args)))
	}
	rows, err := q.QueryContext(ctx, `SELECT t.user_id, (SELECT COUNT(*) FROM recovery_codes c WHERE c.user_id = t.user_id AND c.used_at = 0)
		FROM totp t WHERE t.confirmed_at > 0 AND t.user_id IN (`+strings.Join(places, ", ")+")", args...) //nolint:gosec // only placeholders
	err = sqldb.Each(rows, err, func(row sqldb.Row) error {
		var id string
		f := accounts.SecondFactor{On: true}
		err := row.Scan(&id, &f.RecoveryCodes)
		out[id] = f
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up second factors: %w", err)
	}
	return out, nil
}

// UseUpCodes marks the codes of all apps as used up to a time, after a backup was restored: any of them may have been used.
func UseUpCodes(ctx context.Context, tx *sql.Tx, until int64) error {
	_, err := tx.ExecContext(ctx, "UPDATE totp SET last_step = $1 WHERE last_step < $1 AND confirmed_at <> 0", until/TOTPPeriod)
	return sqldb.Wrap("use up the codes of authenticator apps", err)
}
