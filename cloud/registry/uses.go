package registry

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/acebridge/ace/bridge/api"
)

// RelayUse is how much somebody has called a server through the relay of late.
type RelayUse struct {
	Connection string // ID
	UserID     string // or the ID of an API key
	Calls      int64
	Failures   int64         // of these: no answer, or one of 500 and above
	Answers    int64         // of these: there was one
	Latency    time.Duration // until the answers began, all together
	LatencyMax time.Duration
	Last       time.Time
}

// AddRelayUses stores uses, all or none. Those of connections that are gone are left out.
func (r *Registry) AddRelayUses(ctx context.Context, uses []RelayUse) error {
	slices.SortFunc(uses, func(a, b RelayUse) int { // all who store some take the rows in the same order
		return cmp.Or(cmp.Compare(a.Connection, b.Connection), cmp.Compare(a.UserID, b.UserID))
	})
	return r.db.Tx(ctx, func(tx *sql.Tx) error {
		history, err := tx.PrepareContext(ctx, `INSERT INTO connection_history (connection_id, bucket, calls, failures, answers, answer_us, answer_us_max)
			SELECT c.id, $2, $3, $4, $5, $6, $7 FROM connections c WHERE c.id = $1
			ON CONFLICT (connection_id, bucket) DO UPDATE SET calls = connection_history.calls + excluded.calls,
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
			if _, err := history.ExecContext(ctx, u.Connection, bucket(u.Last, halfHour), u.Calls, u.Failures, u.Answers,
				u.Latency.Microseconds(), u.LatencyMax.Microseconds()); err != nil {
				return fmt.Errorf("store uses: %w", err)
			}
			if _, err := members.ExecContext(ctx, u.Connection, u.UserID, bucket(u.Last, day), u.Calls, u.Failures, u.Answers,
				u.Latency.Microseconds(), u.Last.Unix()); err != nil {
				return fmt.Errorf("store uses: %w", err)
			}
		}
		return nil
	})
}

// noteCredential counts a credential that is handed out, with which a member calls the server directly.
func (r *Registry) noteCredential(ctx context.Context, p Principal, c connection, allowed bounds, now time.Time) error {
	id := c.id
	return r.db.Tx(ctx, func(tx *sql.Tx) error {
		if c.ace {
			if err := noteHanded(ctx, tx, p, id, allowed, now); err != nil {
				return err
			}
		}
		for _, note := range []struct {
			statement string
			args      []any
		}{
			{"UPDATE connections SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1", []any{now.Unix(), id}},
			{`INSERT INTO connection_history (connection_id, bucket, credentials) SELECT c.id, $2, 1 FROM connections c WHERE c.id = $1
				ON CONFLICT (connection_id, bucket) DO UPDATE SET credentials = connection_history.credentials + 1`,
				[]any{id, bucket(now, halfHour)}},
			{`INSERT INTO member_uses (connection_id, user_id, bucket, credentials, last_at) SELECT c.id, $2, $3, 1, $4 FROM connections c WHERE c.id = $1
				ON CONFLICT (connection_id, user_id, bucket) DO UPDATE SET credentials = member_uses.credentials + 1, last_at = excluded.last_at`,
				[]any{id, p.UserID, bucket(now, day), now.Unix()}},
		} {
			if _, err := tx.ExecContext(ctx, note.statement, note.args...); err != nil {
				return fmt.Errorf("note a use: %w", err)
			}
		}
		return nil
	})
}

// maxUsers bounds the members whose use is shown: those who have used the connection last.
const maxUsers = 100

// MemberUses is who has used a connection within 30 days, the last one first: the connection's owner and admins see everybody,
// anybody else themselves.
func (r *Registry) MemberUses(ctx context.Context, p Principal, id string) ([]api.MemberUse, error) {
	c, err := r.find(ctx, r.db, p, id)
	if err != nil {
		return nil, err
	}
	only := ""
	if c.may(p) != nil {
		only = p.UserID
	}
	from := historyFrom(r.cfg.Now())
	rows, err := r.db.QueryContext(ctx, `SELECT l.user_id, COALESCE(u.email, 'key:' || l.user_id), COALESCE(u.name, ''), COALESCE(m.role, ''), l.last_at,
			d.bucket, d.calls, d.failures, d.answers, d.answer_us, d.credentials
		FROM (SELECT user_id, MAX(last_at) AS last_at FROM member_uses WHERE connection_id = $1 AND bucket >= $2 AND ($3 = '' OR user_id = $3)
			GROUP BY user_id ORDER BY MAX(last_at) DESC, user_id LIMIT $4) l
		JOIN member_uses d ON d.connection_id = $1 AND d.user_id = l.user_id AND d.bucket >= $2
		LEFT JOIN users u ON u.id = l.user_id LEFT JOIN members m ON m.org_id = $5 AND m.user_id = l.user_id
		ORDER BY l.last_at DESC, l.user_id, d.bucket`, c.id, from, only, maxUsers, c.orgID)
	out := []api.MemberUse{}
	var answers, us int64
	err = eachRow(rows, err, func(s scanner) error {
		var of api.MemberUse
		var n historyCounts
		var last, began int64
		if err := s.Scan(&of.UserID, &of.Email, &of.Name, &of.Role, &last, &began, &n.calls, &n.failures, &n.answers, &n.answerUS, &n.credentials); err != nil {
			return err
		}
		if len(out) == 0 || out[len(out)-1].UserID != of.UserID {
			of.LastUsedAt, of.Days = time.Unix(last, 0).UTC(), make([]int64, historyDays)
			out, answers, us = append(out, of), 0, 0
		}
		use := &out[len(out)-1]
		use.Calls, use.Failures, use.Credentials = use.Calls+n.calls, use.Failures+n.failures, use.Credentials+n.credentials
		answers, us = answers+n.answers, us+n.answerUS
		use.CallMS = average(us, answers)
		if i := (began - from) / int64(day/time.Second); i >= 0 && i < historyDays {
			use.Days[i] = n.calls + n.credentials
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the uses of a connection: %w", err)
	}
	return out, nil
}
