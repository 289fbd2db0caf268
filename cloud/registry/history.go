package registry

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge/api"
)

const (
	halfHour    = 30 * time.Minute
	day         = 24 * time.Hour
	historyDays = 30 // that history is kept, and shown, today included
	halfHours   = int(day / halfHour)
)

// bucket is when the half hour or day of a time began, of which there is one row.
func bucket(t time.Time, long time.Duration) int64 {
	return t.Unix() - t.Unix()%int64(long/time.Second)
}

// historyFrom is when the first day began that is kept.
func historyFrom(now time.Time) int64 { return bucket(now.Add(-(historyDays-1)*day), day) }

// probeColumns are the counters of what a probe found.
var probeColumns = map[string]string{StatusOnline: "online", StatusOffline: "offline", StatusUnauthorized: "unauthorized"}

// noteProbe counts the outcome of a probe.
func noteProbe(ctx context.Context, tx *sql.Tx, id string, now time.Time, s Status) error {
	found, ok := probeColumns[s.Status]
	if !ok {
		found = "unknown"
	}
	answers := 0
	if s.Latency > 0 {
		answers = 1
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO connection_history (connection_id, bucket, `+found+`, probe_answers, probe_us, probe_us_max)
		VALUES ($1, $2, 1, $3, $4, $4) ON CONFLICT (connection_id, bucket) DO UPDATE SET `+found+` = connection_history.`+found+` + 1,
		probe_answers = connection_history.probe_answers + $3, probe_us = connection_history.probe_us + $4,
		probe_us_max = CASE WHEN connection_history.probe_us_max < $4 THEN $4 ELSE connection_history.probe_us_max END`,
		id, bucket(now, halfHour), answers, s.Latency.Microseconds()) //nolint:gosec // a name from above
	if err != nil {
		return fmt.Errorf("note a probe: %w", err)
	}
	return nil
}

var countedHistory = counted("connection_history", "online", "offline", "unauthorized", "unknown", "probe_answers", "probe_us", "calls",
	"failures", "answers", "answer_us", "credentials")

// counted are the sums of a table's counters; of integers PostgreSQL makes decimals.
func counted(table string, columns ...string) string {
	sums := ""
	for _, c := range columns {
		sums += ", CAST(SUM(" + table + "." + c + ") AS BIGINT)"
	}
	return sums
}

// History is how a connection that the principal sees was, and how much it was used: the last 24 hours by half hours, and the
// last 30 days, UTC, the one under way last. What nothing is known of is there, and empty.
func (r *Registry) History(ctx context.Context, p Principal, id string) (api.ConnectionHistory, error) {
	c, err := r.find(ctx, r.db, p, id)
	if err != nil {
		return api.ConnectionHistory{}, err
	}
	now := r.cfg.Now()
	hours, days := bucket(now, halfHour)-int64((day-halfHour)/time.Second), historyFrom(now)
	out := api.ConnectionHistory{HalfHours: moments(hours, halfHour, halfHours), Days: moments(days, day, historyDays)}
	const maxes = ", MAX(probe_us_max), MAX(answer_us_max)"
	rows, err := r.db.QueryContext(ctx, `SELECT 0, bucket`+countedHistory+maxes+` FROM connection_history
		WHERE connection_id = $1 AND bucket >= $2 GROUP BY bucket
		UNION ALL SELECT 1, bucket - bucket % 86400`+countedHistory+maxes+` FROM connection_history
		WHERE connection_id = $1 AND bucket >= $3 GROUP BY bucket - bucket % 86400`, c.id, hours, days) //nolint:gosec // columns from above
	err = eachRow(rows, err, func(s scanner) error {
		var kind, began int64
		var n historyCounts
		if err := s.Scan(&kind, &began, &n.online, &n.offline, &n.unauthorized, &n.unknown, &n.probed, &n.probeUS, &n.calls, &n.failures,
			&n.answers, &n.answerUS, &n.credentials, &n.probeMax, &n.answerMax); err != nil {
			return err
		}
		of, i := out.HalfHours, (began-hours)/int64(halfHour/time.Second)
		if kind == 1 {
			of, i = out.Days, (began-days)/int64(day/time.Second)
		}
		if i >= 0 && i < int64(len(of)) { // the clock may have been set back since
			n.fill(&of[i])
		}
		return nil
	})
	if err != nil {
		return api.ConnectionHistory{}, fmt.Errorf("read a history: %w", err)
	}
	return out, nil
}

func moments(from int64, long time.Duration, n int) []api.HistoryMoment {
	out := make([]api.HistoryMoment, n)
	for i := range out {
		out[i].From = time.Unix(from, 0).UTC().Add(time.Duration(i) * long)
		out[i].Until = out[i].From.Add(long)
	}
	return out
}

// historyCounts are the counters of a half hour, or the sums of those of a day; times are in microseconds.
type historyCounts struct {
	online, offline, unauthorized, unknown int64
	probed, probeUS, probeMax              int64
	calls, failures                        int64
	answers, answerUS, answerMax           int64
	credentials                            int64
}

func (n historyCounts) fill(m *api.HistoryMoment) {
	most := int64(0)
	for _, found := range []struct {
		status string
		n      int64
	}{{StatusOffline, n.offline}, {StatusUnauthorized, n.unauthorized}, {StatusOnline, n.online}, {StatusUnknown, n.unknown}} {
		if found.n > most {
			m.Status, most = found.status, found.n
		}
	}
	if told := n.online + n.offline + n.unauthorized; told > 0 {
		m.Uptime = new(float64(n.online) / float64(told))
	}
	m.LatencyMS, m.LatencyMaxMS = average(n.probeUS, n.probed), measured(milliseconds(n.probeMax))
	m.Calls, m.Failures, m.Credentials = n.calls, n.failures, n.credentials
	m.CallMS, m.CallMaxMS = average(n.answerUS, n.answers), measured(milliseconds(n.answerMax))
}

// milliseconds rounds up, so that what was measured is not 0.
func milliseconds(us int64) int64 { return (us + 999) / 1000 }

// average is that of times in microseconds, in milliseconds; nil of none.
func average(us, n int64) *int64 {
	if n <= 0 {
		return nil
	}
	return new(max(1, milliseconds(us/n)))
}

const purgeBatch = 1000

// purgeHistory deletes what is older than is kept, in batches, so that nobody waits for long.
func (r *Registry) purgeHistory(ctx context.Context) error {
	now := r.cfg.Now()
	for _, old := range []struct {
		table, key, when string
		before           int64
	}{
		{"connection_history", "connection_id, bucket", "bucket < $1", historyFrom(now)},
		{"member_uses", "connection_id, user_id, bucket", "bucket < $1", historyFrom(now)},
		{"connection_changes", "connection_id", "gone AND changed_at < $1", now.Add(-changeNoted).Unix()},
	} {
		for more := true; more; {
			result, err := r.db.ExecContext(ctx, "DELETE FROM "+old.table+" WHERE ("+old.key+") IN (SELECT "+old.key+" FROM "+old.table+ //nolint:gosec // names from above
				" WHERE "+old.when+" LIMIT $2)", old.before, purgeBatch)
			if err != nil {
				return fmt.Errorf("purge %s: %w", old.table, err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return fmt.Errorf("purge %s: %w", old.table, err)
			}
			more = n == purgeBatch
		}
	}
	return nil
}
