package connections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// changeNoted is how long the change of a deleted connection is kept.
const changeNoted = 30 * day

// change says how a change of a connection affects those who saw it.
type change struct {
	lost bool // members no longer see the connection
	gone bool // the connection is deleted
}

// changed notes that a connection has changed, for its watchers. Each change has its own number within the organization. The
// counter's row is locked until the commit, so a reader who sees a number sees all changes before it. Call it late in a
// transaction of [Feed.changeTx].
func (f *Feed) changed(ctx context.Context, tx *sql.Tx, orgID, id string, what change) error {
	seq, err := nextChange(ctx, tx, orgID)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE connection_changes SET seq = $1, lost = CASE WHEN $2 THEN $1 ELSE lost END,
		lost_at = CASE WHEN $2 THEN $4 ELSE lost_at END, gone = $3, changed_at = $4 WHERE connection_id = $5`, seq, what.lost, what.gone, f.db.Now().Unix(), id); err != nil {
		return fmt.Errorf("note a change: %w", err)
	}
	return nil
}

// StatusChanged notes that a probe has found another status, for watchers; the caller wakes them after the commit.
func (f *Feed) StatusChanged(ctx context.Context, tx *sql.Tx, orgID, id string) error {
	return f.changed(ctx, tx, orgID, id, change{})
}

// appeared notes a new connection.
func (f *Feed) appeared(ctx context.Context, tx *sql.Tx, c Connection) error {
	seq, err := nextChange(ctx, tx, c.OrgID)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO connection_changes (connection_id, org_id, owner_id, seq, lost, lost_at, gone, changed_at)
		VALUES ($1, $2, $3, $4, 0, 0, FALSE, $5)`, c.ID, c.OrgID, c.OwnerID, seq, f.db.Now().Unix()); err != nil {
		return fmt.Errorf("note a new connection: %w", err)
	}
	return nil
}

func nextChange(ctx context.Context, tx *sql.Tx, orgID string) (seq int64, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO change_counters (org_id, seq) VALUES ($1, 1)
		ON CONFLICT (org_id) DO UPDATE SET seq = change_counters.seq + 1 RETURNING seq`, orgID).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("count a change: %w", err)
	}
	return seq, nil
}

// ConnectionsChanged wakes watchers, since there may be changes to tell them.
func (f *Feed) ConnectionsChanged() <-chan struct{} { return f.signals.Changed }

// changeTx runs a transaction that changes connections, and wakes watchers after the commit.
func (f *Feed) changeTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	err := f.db.Change(ctx, fn)
	f.RightsChanged()
	return err
}

// RightsChanged wakes watchers, and the workers that revoke keys and withdraw tokens.
func (f *Feed) RightsChanged() {
	schema.Wake(f.signals.Changed)
	schema.Wake(f.signals.Revocations) // of a key that was replaced
	schema.Wake(f.signals.Withdrawals)
}

// Position returns the number of the last change in the principal's organization, and a number after which come all changes
// since a time.
func (f *Feed) Position(ctx context.Context, p accounts.Principal, since time.Time) (last, from int64, err error) {
	err = f.db.QueryRowContext(ctx, `SELECT n.seq, COALESCE((SELECT MIN(CASE WHEN h.lost_at >= $2 THEN h.lost ELSE h.seq END) - 1 FROM connection_changes h
		WHERE h.org_id = n.org_id AND h.changed_at >= $2), n.seq) FROM change_counters n WHERE n.org_id = $1`,
		p.OrgID, since.Unix()).Scan(&last, &from)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil // nothing has changed yet
	}
	if err != nil {
		return 0, 0, fmt.Errorf("look up the last change: %w", err)
	}
	return last, from, nil
}

// Watcher says whether a principal may go on watching, and the last change in their organization.
type Watcher struct {
	Standing bool
	Last     int64
}

// Watchers reports which principals may go on watching: those whose session or membership is in force with the same role. It
// asks for many with one statement. Whether a cloud API key is still valid is for the key authority to say.
func (f *Feed) Watchers(ctx context.Context, who []accounts.Principal) ([]Watcher, error) {
	out := make([]Watcher, len(who))
	for from := 0; from < len(who); from += manyBatch {
		some := who[from:min(from+manyBatch, len(who))]
		args := []any{f.db.Now().Unix()}
		rows, err := f.db.QueryContext(ctx, callerRows(&args, asked(some)...)+`
			SELECT caller.n, COALESCE((SELECT n.seq FROM change_counters n WHERE n.org_id = caller.org_id), 0) FROM caller WHERE`+stands, args...)
		err = sqldb.Each(rows, err, func(s sqldb.Row) error {
			var n int
			var last int64
			err := s.Scan(&n, &last)
			if err == nil {
				out[from+n] = Watcher{Standing: true, Last: last}
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("check who watches: %w", err)
		}
	}
	return out, nil
}

// Change is a change of a connection, as far as a principal may know of it.
type Change struct {
	Who    int // index of the principal
	Seq    int64
	Event  api.ConnectionEvent
	Lost   bool // the principal no longer sees the connection; the event has only its ID
	hidden bool // the principal never saw it
}

// Changes lists an organization's changes after since and at least up to last, in order and bounded in number, as far as each
// principal may know of them. Ask for more after next, which is less than last if there are more already.
func (f *Feed) Changes(ctx context.Context, orgID string, since, last int64, who []accounts.Principal) (changes []Change, next int64, err error) {
	next = math.MaxInt64
	for from := 0; from < len(who); from += manyBatch {
		some := who[from:min(from+manyBatch, len(who))]
		args := []any{orgID, since, changesAtOnce}
		rows, err := f.db.QueryContext(ctx, callerRows(&args, asked(some)...)+selectChanges, args...)
		reached, seen := since, 0
		err = sqldb.Each(rows, err, func(s sqldb.Row) error {
			c, err := scanChange(s)
			if err != nil {
				return err
			}
			if reached = c.Seq; c.Who == 0 {
				seen++
			}
			if c.Who += from; !c.hidden {
				changes = append(changes, c)
			}
			return nil
		})
		if err != nil {
			return nil, since, fmt.Errorf("list changes: %w", err)
		}
		if seen < changesAtOnce {
			reached = max(reached, last)
		}
		next = min(next, reached) // something may have changed between two questions: better told twice
	}
	return changes, next, nil
}

// changesAtOnce bounds a page of changes; each is checked for each watcher.
const changesAtOnce = 100

// selectChanges joins the changes to the watchers. A connection that a watcher does not see is reported as lost if members have
// lost it since; so it is to its owner, and to admins once it is deleted, who may all know that it existed.
const selectChanges = `, h AS (SELECT connection_id, owner_id, seq, lost, gone FROM connection_changes WHERE org_id = $1 AND seq > $2 ORDER BY seq LIMIT $3)
	SELECT caller.n, h.seq, h.connection_id, COALESCE((` + visible + `), FALSE),
		h.lost > $2 OR h.owner_id = caller.user_id OR (h.gone AND caller.manage <> ''), COALESCE(c.status, ''), COALESCE(c.cause, ''), COALESCE(c.cause_code, ''),
		COALESCE(c.hint, ''), COALESCE(c.latency_ms, 0), COALESCE(c.last_seen_at, 0), COALESCE(c.last_used_at, 0)
	FROM h CROSS JOIN caller LEFT JOIN connections c ON c.id = h.connection_id LEFT JOIN users u ON u.id = c.owner_id ORDER BY h.seq`

func scanChange(s sqldb.Row) (Change, error) {
	var c Change
	var sees, told bool
	var latency, seen, used int64
	e := &c.Event
	err := s.Scan(&c.Who, &c.Seq, &e.ID, &sees, &told, &e.Status, &e.Cause, &e.CauseCode, &e.Hint, &latency, &seen, &used)
	if sees {
		e.LatencyMS, e.LastSeenAt, e.LastUsedAt = measured(latency), schema.At(seen), schema.At(used)
		return c, err
	}
	c.Event = api.ConnectionEvent{ID: e.ID}
	c.Lost, c.hidden = told, !told
	return c, err
}

// measured returns a pointer to a number; nil for 0, which means that there is none.
func measured(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}
