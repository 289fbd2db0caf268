package timeline

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
)

// maxBehind is how far the system's clock may be behind the newest time seen before everything is refused.
const maxBehind = 5 * time.Minute

// Line is how far a database has come: in time, and in changes. Its methods are safe for concurrent use.
type Line struct {
	db   *sqldb.DB
	mark *mark.File
	log  *slog.Logger

	system   func() time.Time
	realTime bool         // system is time.Now
	ticked   atomic.Int64 // unix seconds, kept by Tick; 0: ask the clock
	newest   atomic.Int64 // the newest time seen, unix seconds
	stored   atomic.Int64 // the newest time that the database is known to have
	late     atomic.Bool  // the system's clock is too far behind
	marks    atomic.Pointer[Marks]
	highest  atomic.Int64 // the highest change number that this process, the mark or the cloud knows
	behind   atomic.Pointer[lag]
}

// lag is how far the database is behind.
type lag struct{ found, known int64 }

// Config is what a line must know.
type Config struct {
	DB   *sqldb.DB
	Mark *mark.File       // the change number outside the database; nil: none is kept
	Now  func() time.Time // nil: time.Now
}

// New returns the line of a database, which it does not read yet; see [Line.Look].
func New(cfg Config, log *slog.Logger) *Line {
	l := &Line{db: cfg.DB, mark: cfg.Mark, log: log, system: cfg.Now}
	if cfg.Now == nil {
		l.system, l.realTime = time.Now, true
	}
	l.highest.Store(cfg.Mark.Number())
	return l
}

// Marks are what the one row of key_changes says.
type Marks struct {
	Version  int64 // the number of the last change
	Restored int64 // the number at which a restored database was accepted; 0: never

	newest, epoch, accepted, ended, known int64
}

func readMarks(ctx context.Context, db *sqldb.DB) (Marks, error) {
	var m Marks
	if err := db.QueryRowContext(ctx, "SELECT version, newest, epoch, accepted, ended, known, restored FROM key_changes WHERE id = 1").
		Scan(&m.Version, &m.newest, &m.epoch, &m.accepted, &m.ended, &m.known, &m.Restored); err != nil {
		return Marks{}, fmt.Errorf("read the version of the keys: %w", err)
	}
	return m, nil
}

// Now is the system's time, or the newest time seen where that is later.
func (l *Line) Now() time.Time {
	now := l.system()
	seconds := now.Unix()
	for {
		newest := l.newest.Load()
		if late := newest-seconds > int64(maxBehind/time.Second); l.late.Load() != late {
			l.late.Store(late)
		}
		switch {
		case seconds < newest:
			return time.Unix(newest, 0)
		case seconds == newest || l.newest.CompareAndSwap(newest, seconds):
			return now
		}
	}
}

// Seconds is the time of a verification. Asking the system for it would cost a third of all.
func (l *Line) Seconds() int64 {
	if s := l.ticked.Load(); s != 0 {
		return s
	}
	return l.Now().Unix()
}

// Tick keeps the time for [Line.Seconds], where the clock is the system's. Who calls it goes on to do so every moment, and
// calls [Line.StopTicking] at the end.
func (l *Line) Tick() {
	if l.realTime {
		l.ticked.Store(l.Now().Unix())
	}
}

// StopTicking makes [Line.Seconds] ask the clock again.
func (l *Line) StopTicking() { l.ticked.Store(0) }

// Refuses reports whether nothing can be verified or changed now; [Line.Trouble] says why.
func (l *Line) Refuses() bool { return l.late.Load() || l.behind.Load() != nil }

// Late reports whether the system's clock is too far behind the newest time seen.
func (l *Line) Late() bool { return l.late.Load() }

// Behind reports whether the database has lost changes.
func (l *Line) Behind() bool { return l.behind.Load() != nil }

// Trouble is why nothing can be verified or changed now; nil where it can.
func (l *Line) Trouble() error {
	l.Seconds() // where nobody ticks, this looks at the time
	if l.late.Load() {
		return l.clockBehind()
	}
	return l.Lost()
}

// Lost is the error of a database that has lost changes; nil where it has not.
func (l *Line) Lost() error {
	if lag := l.behind.Load(); lag != nil {
		return DatabaseBehind(lag.found, lag.known)
	}
	return nil
}

func (l *Line) clockBehind() error {
	newest, system := time.Unix(l.newest.Load(), 0).UTC(), l.system().UTC()
	e := bridge.E(bridge.Unavailable, bridge.CodeClockBehind,
		"the clock says %s, but the time was already %s: what has expired since would be valid again",
		system.Format(time.RFC3339), newest.Format(time.RFC3339)).
		WithHint("set the clock right; if it is right now, run `ace server accept-clock` (on a cloud: `ace cloud accept-clock`)")
	e.RetryAfter = time.Minute
	return e
}

// DatabaseBehind is the error of a database that is at one change where a later one is known.
func DatabaseBehind(found, known int64) error {
	e := bridge.E(bridge.Unavailable, bridge.CodeDatabaseBehind,
		"the database is at change %d, and change %d was made already: it has lost changes, revocations among them, as an old backup has", found, known).
		WithHint("restore the newest database; if this is the newest there is, run `ace server restore --accept` (on a cloud: `ace cloud restore --accept`)")
	e.RetryAfter = time.Minute
	return e
}

// adopt takes over what the database says. Time goes back only where an operator has accepted that.
func (l *Line) adopt(m Marks) {
	before := l.marks.Swap(&m)
	if before != nil && m.epoch > before.epoch {
		l.stored.Store(m.newest)
		l.newest.Store(m.newest)
		return
	}
	raise(&l.stored, m.newest)
	raise(&l.newest, m.newest)
}

func raise(v *atomic.Int64, to int64) {
	for old := v.Load(); old < to && !v.CompareAndSwap(old, to); old = v.Load() {
	}
}

// Ended reports whether what was issued and expires at these times had ended before an earlier time was accepted.
func (l *Line) Ended(issued, expires int64) bool {
	m := l.marks.Load()
	return m != nil && m.ended != 0 && issued <= m.accepted && expires <= m.ended
}

// Stored is the newest time that the database is known to have, in unix seconds.
func (l *Line) Stored() int64 { return l.stored.Load() }

// Store writes down the newest time seen, and takes over what others have written.
func (l *Line) Store(ctx context.Context) (Marks, error) {
	now := l.Now().Unix()
	epoch := l.marks.Load().epoch
	if now > l.stored.Load() {
		if _, err := l.db.ExecContext(ctx, "UPDATE key_changes SET newest = $1 WHERE id = 1 AND newest < $1 AND epoch = $2", now, epoch); err != nil {
			return Marks{}, fmt.Errorf("store the newest time: %w", err)
		}
	}
	m, err := l.Look(ctx)
	if err != nil {
		return Marks{}, err
	}
	if err := l.mark.Advance(l.highest.Load()); err != nil {
		l.log.Error("the number of the last change could not be kept outside the database", "change", l.highest.Load(), "error", err)
	}
	return m, nil
}
