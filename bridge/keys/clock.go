package keys

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

// maxBehind is how far the system's clock may be behind the newest time seen before everything is refused.
const maxBehind = 5 * time.Minute

// clock is the time of an authority: the system's, and never below the newest time seen.
type clock struct {
	system func() time.Time
	newest atomic.Int64 // unix seconds
	stored atomic.Int64 // the newest time that the database is known to have
	late   atomic.Bool  // the system's clock is too far behind
	marks  atomic.Pointer[marks]
}

// marks are what the one row of key_changes says.
type marks struct {
	version, newest, epoch, accepted, ended int64
	known, restored                         int64
}

func readMarks(ctx context.Context, q querier) (marks, error) {
	var m marks
	if err := q.QueryRowContext(ctx, "SELECT version, newest, epoch, accepted, ended, known, restored FROM key_changes WHERE id = 1").
		Scan(&m.version, &m.newest, &m.epoch, &m.accepted, &m.ended, &m.known, &m.restored); err != nil {
		return marks{}, fmt.Errorf("read the version of the keys: %w", err)
	}
	return m, nil
}

// now is the system's time, or the newest time seen where that is later.
func (c *clock) now() time.Time {
	now := c.system()
	seconds := now.Unix()
	for {
		newest := c.newest.Load()
		if late := newest-seconds > int64(maxBehind/time.Second); c.late.Load() != late {
			c.late.Store(late)
		}
		switch {
		case seconds < newest:
			return time.Unix(newest, 0)
		case seconds == newest || c.newest.CompareAndSwap(newest, seconds):
			return now
		}
	}
}

// adopt takes over what the database says. Time goes back only where an operator has accepted that.
func (c *clock) adopt(m marks) {
	before := c.marks.Swap(&m)
	if before != nil && m.epoch > before.epoch {
		c.stored.Store(m.newest)
		c.newest.Store(m.newest)
		return
	}
	raise(&c.stored, m.newest)
	raise(&c.newest, m.newest)
}

func raise(v *atomic.Int64, to int64) {
	for old := v.Load(); old < to && !v.CompareAndSwap(old, to); old = v.Load() {
	}
}

// ended reports whether what was issued and expires at these times had ended before an earlier time was accepted.
func (c *clock) ended(issued, expires int64) bool {
	m := c.marks.Load()
	return m != nil && m.ended != 0 && issued <= m.accepted && expires <= m.ended
}

// Now is the authority's time: the system's, and never below the newest time that was seen.
func (a *Authority) Now() time.Time { return a.cfg.Now() }

// Trouble is why nothing can be verified or changed now; nil where it can.
func (a *Authority) Trouble() error {
	a.seconds() // where Run does not keep the time, this looks at it
	switch {
	case a.time.late.Load():
		return a.time.behind()
	case a.behind.Load() != nil:
		l := a.behind.Load()
		return errBehind(l.found, l.known)
	case a.stale.Load():
		return errStale
	}
	return nil
}

func (c *clock) behind() error {
	newest, system := time.Unix(c.newest.Load(), 0).UTC(), c.system().UTC()
	e := bridge.E(bridge.Unavailable, "clock_behind", "the clock says %s, but the time was already %s: what has expired since would be valid again",
		system.Format(time.RFC3339), newest.Format(time.RFC3339)).
		WithHint("set the clock right; if it is right now, run `ace server accept-clock` (on a cloud: `ace cloud accept-clock`)")
	e.RetryAfter = time.Minute
	return e
}

// storeTime writes down the newest time seen, and takes over what others have written.
func (a *Authority) storeTime(ctx context.Context) error {
	now := a.cfg.Now().Unix()
	epoch := a.time.marks.Load().epoch
	if now > a.time.stored.Load() {
		if _, err := a.db.ExecContext(ctx, "UPDATE key_changes SET newest = $1 WHERE id = 1 AND newest < $1 AND epoch = $2", now, epoch); err != nil {
			return fmt.Errorf("store the newest time: %w", err)
		}
	}
	m, err := a.look(ctx)
	if err != nil {
		return err
	}
	if err := a.cfg.Mark.Advance(a.highest.Load()); err != nil {
		a.log.Error("the number of the last change could not be kept outside the database", "change", a.highest.Load(), "error", err)
	}
	if a.db.Dialect == sqldb.SQLite && m.restored != a.loaded.Load() {
		a.poke()
	}
	return nil
}

// noteEnd makes sure that the database knows a time at which something had ended, before that is said: no restart with an
// earlier clock brings it back.
func (a *Authority) noteEnd(ctx context.Context, end int64) {
	if a.time.stored.Load() >= end || a.time.late.Load() {
		return
	}
	if err := a.storeTime(ctx); err != nil {
		a.log.Warn("could not store that a key has ended; trying again", "error", err)
	}
}

// AcceptedClock says what accepting an earlier time has done.
type AcceptedClock struct {
	Was   time.Time // the newest time seen before
	Now   time.Time
	Ended int64 // keys whose end, by the later clock, was written down
}

// Cut writes down that what expires after now, and no later than was, is over now; both are unix seconds.
type Cut func(ctx context.Context, tx *sql.Tx, now, was int64) error

// AcceptClock sets the newest time seen back to now, on a database whose processes may run or not. What had ended by the
// later clock stays ended: it is written down as ended now.
func AcceptClock(ctx context.Context, db *sqldb.DB, now time.Time, actor audit.Actor, also ...Cut) (AcceptedClock, error) {
	out := AcceptedClock{Now: time.Unix(now.Unix(), 0).UTC()}
	err := db.Tx(ctx, func(tx *sql.Tx) error {
		var version, newest int64
		if err := tx.QueryRowContext(ctx, `UPDATE key_changes SET version = version + 1, epoch = epoch + 1 WHERE id = 1
			RETURNING version, newest`).Scan(&version, &newest); err != nil {
			return fmt.Errorf("accept the clock: %w", err)
		}
		if newest <= now.Unix() {
			return bridge.E(bridge.Conflict, "clock_not_behind", "the clock is not behind: the newest time seen is %s, and it is %s now",
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
