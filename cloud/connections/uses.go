package connections

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// RelayUse counts one caller's calls of a server through the relay since the last report.
type RelayUse struct {
	Connection string // ID
	UserID     string // or the ID of an API key
	Calls      int64
	Failures   int64         // calls without an answer, or with a status of 500 and above
	Answers    int64         // calls with an answer
	Latency    time.Duration // until the answers began, in total
	LatencyMax time.Duration
	Last       time.Time
}

// AddRelayUses stores uses, all or none. Uses of deleted connections are left out.
func (h *History) AddRelayUses(ctx context.Context, uses []RelayUse) error {
	slices.SortFunc(uses, func(a, b RelayUse) int { // every writer locks the rows in the same order
		return cmp.Or(cmp.Compare(a.Connection, b.Connection), cmp.Compare(a.UserID, b.UserID))
	})
	return h.db.Tx(ctx, func(tx *sql.Tx) error {
		history, err := tx.PrepareContext(ctx, `INSERT INTO connection_history (connection_id, span, bucket, calls, failures, answers, answer_us, answer_us_max)
			SELECT c.id, $2, $3, $4, $5, $6, $7, $8 FROM connections c WHERE c.id = $1
			ON CONFLICT (connection_id, span, bucket) DO UPDATE SET calls = connection_history.calls + excluded.calls,
			failures = connection_history.failures + excluded.failures, answers = connection_history.answers + excluded.answers,
			answer_us = connection_history.answer_us + excluded.answer_us,
			answer_us_max = CASE WHEN connection_history.answer_us_max < excluded.answer_us_max THEN excluded.answer_us_max ELSE connection_history.answer_us_max END`)
		if err != nil {
			return fmt.Errorf("store uses: %w", err)
		}
		defer func() { _ = history.Close() }()
		members, err := tx.PrepareContext(ctx, `INSERT INTO member_uses (connection_id, user_id, bucket, calls, failures, answers, answer_us, last_at)
			SELECT c.id, $2, $3, $4, $5, $6, $7, $8 FROM connections c WHERE c.id = $1
			ON CONFLICT (connection_id, user_id, bucket) DO UPDATE SET calls = member_uses.calls + excluded.calls,
			failures = member_uses.failures + excluded.failures, answers = member_uses.answers + excluded.answers,
			answer_us = member_uses.answer_us + excluded.answer_us,
			last_at = CASE WHEN member_uses.last_at < excluded.last_at THEN excluded.last_at ELSE member_uses.last_at END`)
		if err != nil {
			return fmt.Errorf("store uses: %w", err)
		}
		defer func() { _ = members.Close() }()
		for _, u := range uses {
			for _, span := range spans {
				if _, err := history.ExecContext(ctx, u.Connection, seconds(span), bucket(u.Last, span), u.Calls, u.Failures, u.Answers,
					u.Latency.Microseconds(), u.LatencyMax.Microseconds()); err != nil {
					return fmt.Errorf("store uses: %w", err)
				}
			}
			if _, err := members.ExecContext(ctx, u.Connection, u.UserID, bucket(u.Last, day), u.Calls, u.Failures, u.Answers,
				u.Latency.Microseconds(), u.Last.Unix()); err != nil {
				return fmt.Errorf("store uses: %w", err)
			}
		}
		return nil
	})
}

// NoteCredential counts a credential handed to a caller who calls the server directly with it.
func NoteCredential(ctx context.Context, tx *sql.Tx, id, userID string, now time.Time) error {
	const history = `INSERT INTO connection_history (connection_id, span, bucket, credentials) SELECT c.id, $2, $3, 1 FROM connections c WHERE c.id = $1
		ON CONFLICT (connection_id, span, bucket) DO UPDATE SET credentials = connection_history.credentials + 1`
	for _, note := range []struct {
		statement string
		args      []any
	}{
		{"UPDATE connections SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1", []any{now.Unix(), id}},
		{history, []any{id, seconds(halfHour), bucket(now, halfHour)}},
		{history, []any{id, seconds(day), bucket(now, day)}},
		{`INSERT INTO member_uses (connection_id, user_id, bucket, credentials, last_at) SELECT c.id, $2, $3, 1, $4 FROM connections c WHERE c.id = $1
				ON CONFLICT (connection_id, user_id, bucket) DO UPDATE SET credentials = member_uses.credentials + 1, last_at = excluded.last_at`,
			[]any{id, userID, bucket(now, day), now.Unix()}},
	} {
		if _, err := tx.ExecContext(ctx, note.statement, note.args...); err != nil {
			return fmt.Errorf("note a use: %w", err)
		}
	}
	return nil
}

// MemberUses lists who has used a connection within 30 days, the latest first, up to a limit. The connection's owner and admins
// see everybody; anybody else sees only themselves.
func (h *History) MemberUses(ctx context.Context, p accounts.Principal, id string, limit int) ([]api.MemberUse, error) {
	c, err := h.store.Find(ctx, h.db, p, id)
	if err != nil {
		return nil, err
	}
	only := ""
	if c.requireOwner(p) != nil {
		only = p.UserID
	}
	from := shownFrom(h.db.Now(), day)
	// The users come first, then their days: CROSS JOIN keeps SQLite from joining them the other way round.
	rows, err := h.db.QueryContext(ctx, `WITH l AS (SELECT user_id, MAX(last_at) AS last_at FROM member_uses
			WHERE connection_id = $1 AND last_at >= $2 AND ($3 = '' OR user_id = $3) GROUP BY user_id ORDER BY MAX(last_at) DESC, user_id LIMIT $4),
		n AS (SELECT l.user_id, MAX(l.last_at) AS last_at, CAST(SUM(d.calls) AS BIGINT) AS calls, CAST(SUM(d.failures) AS BIGINT) AS failures,
			CAST(SUM(d.answers) AS BIGINT) AS answers, CAST(SUM(d.answer_us) AS BIGINT) AS answer_us, CAST(SUM(d.credentials) AS BIGINT) AS credentials,
			STRING_AGG(CAST((d.bucket - $2) / 86400 AS TEXT) || ':' || CAST(d.calls + d.credentials AS TEXT), ' ') AS days
			FROM l CROSS JOIN member_uses d WHERE d.connection_id = $1 AND d.user_id = l.user_id AND d.bucket >= $2 GROUP BY l.user_id)
		SELECT n.user_id, COALESCE(u.email, 'key:' || n.user_id), COALESCE(u.name, ''), COALESCE(m.role, ''),
			n.last_at, n.calls, n.failures, n.answers, n.answer_us, n.credentials, n.days
		FROM n LEFT JOIN users u ON u.id = n.user_id LEFT JOIN members m ON m.org_id = $5 AND m.user_id = n.user_id
		ORDER BY n.last_at DESC, n.user_id`, c.ID, from, only, schema.PageSize(limit), c.OrgID)
	out := []api.MemberUse{}
	err = sqldb.Each(rows, err, func(s sqldb.Row) error {
		var use api.MemberUse
		var last, answers, us int64
		var days string
		err := s.Scan(&use.UserID, &use.Email, &use.Name, &use.Role, &last, &use.Calls, &use.Failures, &answers, &us, &use.Credentials, &days)
		use.LastUsedAt, use.CallMS, use.Days = time.Unix(last, 0).UTC(), average(us, answers), series(days)
		out = append(out, use)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the uses of a connection: %w", err)
	}
	return out, nil
}

// series reads the uses of some days, such as "0:7 29:1", into a series of all days.
func series(text string) []int64 {
	days := make([]int64, historyDays)
	for part := range strings.FieldsSeq(text) {
		at, uses, _ := strings.Cut(part, ":")
		i, err := strconv.Atoi(at)
		n, nerr := strconv.ParseInt(uses, 10, 64)
		if err == nil && nerr == nil && i >= 0 && i < historyDays {
			days[i] = n
		}
	}
	return days
}
