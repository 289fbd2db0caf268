package connections

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
)

const (
	halfHour    = 30 * time.Minute
	day         = 24 * time.Hour
	historyDays = 30 // days of history that are kept and shown, today included
	halfHours   = int(day / halfHour)
)

// spans are the periods for which a connection has a row of history.
var spans = []time.Duration{halfHour, day}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// bucket returns the start of a time's half hour or day.
func bucket(t time.Time, span time.Duration) int64 { return t.Unix() - t.Unix()%seconds(span) }

// shownFrom returns the start of the first half hour or day that is shown.
func shownFrom(now time.Time, span time.Duration) int64 {
	if span == day {
		return bucket(now, day) - (historyDays-1)*seconds(day)
	}
	return bucket(now, halfHour) - int64(halfHours-1)*seconds(halfHour)
}

// probeColumns are the counters of what a probe found.
var probeColumns = map[string]string{StatusOnline: "online", StatusOffline: "offline", StatusUnauthorized: "unauthorized"}

// NoteProbe counts a probe's result and the latency of the answer; no latency: there was no answer.
func NoteProbe(ctx context.Context, tx *sql.Tx, id string, now time.Time, status string, latency time.Duration) error {
	found, ok := probeColumns[status]
	if !ok {
		found = "unknown"
	}
	answers := 0
	if latency > 0 {
		answers = 1
	}
	for _, span := range spans {
		_, err := tx.ExecContext(ctx, `INSERT INTO connection_history (connection_id, span, bucket, `+found+`, probe_answers, probe_us, probe_us_max)
			VALUES ($1, $2, $3, 1, $4, $5, $5) ON CONFLICT (connection_id, span, bucket) DO UPDATE SET `+found+` = connection_history.`+found+` + 1,
			probe_answers = connection_history.probe_answers + $4, probe_us = connection_history.probe_us + $5,
			probe_us_max = CASE WHEN connection_history.probe_us_max < $5 THEN $5 ELSE connection_history.probe_us_max END`,
			id, seconds(span), bucket(now, span), answers, latency.Microseconds()) //nolint:gosec // a name from above
		if err != nil {
			return fmt.Errorf("note a probe: %w", err)
		}
	}
	return nil
}

// Of reads a connection's status and use: the last 24 hours by half hours, and the last 30 days, UTC. The current half hour or
// day comes last; those without data are included, and empty.
func (h *History) Of(ctx context.Context, p accounts.Principal, id string) (api.ConnectionHistory, error) {
	c, err := h.store.Find(ctx, h.db, p, id)
	if err != nil {
		return api.ConnectionHistory{}, err
	}
	now := h.db.Now()
	hours, days := shownFrom(now, halfHour), shownFrom(now, day)
	out := api.ConnectionHistory{HalfHours: moments(hours, halfHour, halfHours), Days: moments(days, day, historyDays)}
	rows, err := h.db.QueryContext(ctx, `SELECT span, bucket, online, offline, unauthorized, unknown, probe_answers, probe_us, probe_us_max,
			calls, failures, answers, answer_us, answer_us_max, credentials FROM connection_history
		WHERE connection_id = $1 AND ((span = $2 AND bucket >= $3) OR (span = $4 AND bucket >= $5))`,
		c.ID, seconds(halfHour), hours, seconds(day), days)
	err = sqldb.Each(rows, err, func(s sqldb.Row) error {
		var span, began int64
		var n historyCounts
		if err := s.Scan(&span, &began, &n.online, &n.offline, &n.unauthorized, &n.unknown, &n.probed, &n.probeUS, &n.probeMax,
			&n.calls, &n.failures, &n.answers, &n.answerUS, &n.answerMax, &n.credentials); err != nil {
			return err
		}
		of, first := out.HalfHours, hours
		if span == seconds(day) {
			of, first = out.Days, days
		}
		if i := (began - first) / span; i < int64(len(of)) { // the clock may have been set back since
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

// historyCounts are the counters of a half hour or a day; times are in microseconds.
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
	m.LatencyMS, m.LatencyMaxMS = average(n.probeUS, n.probed), measured(Milliseconds(n.probeMax))
	m.Calls, m.Failures, m.Credentials = n.calls, n.failures, n.credentials
	m.CallMS, m.CallMaxMS = average(n.answerUS, n.answers), measured(Milliseconds(n.answerMax))
}

// Milliseconds rounds up, so that a measured latency is never 0.
func Milliseconds(us int64) int64 { return (us + 999) / 1000 }

// average returns the average in milliseconds of times in microseconds; nil if there are none.
func average(us, n int64) *int64 {
	if n <= 0 {
		return nil
	}
	return new(max(1, Milliseconds(us/n)))
}

const purgeBatch = 1000

// DropOld deletes history that is no longer kept, in batches, so that nobody waits for long.
func (h *History) DropOld(ctx context.Context) error {
	now := h.db.Now()
	for _, old := range []struct {
		table, key, when string
		before           int64
	}{
		{"connection_history", "connection_id, span, bucket", "span = 1800 AND bucket < $1", shownFrom(now, halfHour)},
		{"connection_history", "connection_id, span, bucket", "span = 86400 AND bucket < $1", shownFrom(now, day)},
		{"member_uses", "connection_id, user_id, bucket", "bucket < $1", shownFrom(now, day)},
		{"connection_changes", "connection_id", "gone AND changed_at < $1", now.Add(-changeNoted).Unix()},
	} {
		for more := true; more; {
			result, err := h.db.ExecContext(ctx, "DELETE FROM "+old.table+" WHERE ("+old.key+") IN (SELECT "+old.key+" FROM "+old.table+ //nolint:gosec // names from above
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
