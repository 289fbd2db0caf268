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

// maxBehind is how far the system's clock may lag behind the newest time seen before everything is refused.
const maxBehind = 5 * time.Minute

// Line is how far a database has come, in time and in changes. It is safe for concurrent use.
type Line struct {
	db   *sqldb.DB
	mark *mark.File
	log  *slog.Logger

	system   func() time.Time
	realTime bool         // system is time.Now
	ticked   atomic.Int64 // unix seconds, set by Tick; 0: ask the clock
	newest   atomic.Int64 // the newest time seen, unix seconds
	stored   atomic.Int64 // the newest time known to be in the database
	late     atomic.Bool  // the system's clock is too far behind
	marks    atomic.Pointer[Marks]
	highest  atomic.Int64 // the highest change number known to this process, the mark or the cloud
	behind   atomic.Pointer[lag]
}

// lag says how far the database is behind.
type lag struct{ found, known int64 }

// Config configures a [Line].
type Config struct {
	DB   *sqldb.DB
	Mark *mark.File       // keeps the change number outside the database; nil: nothing does
	Now  func() time.Time // nil: time.Now
}

// New returns the line of a database. It does not read it yet; see [Line.Look].
func New(cfg Config, log *slog.Logger) *Line {
	l := &Line{db: cfg.DB, mark: cfg.Mark, log: log, system: cfg.Now}
	if cfg.Now == nil {
		l.system, l.realTime = time.Now, true
	}
	l.highest.Store(cfg.Mark.Number())
	return l
}

// Marks are the contents of the one row of key_changes.
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

// Now returns the system's time, or the newest time seen if that is later.
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

// Seconds returns the time for a verification, in unix seconds. Asking the system would take a third of its duration.
func (l *Line) Seconds() int64 {
	if s := l.ticked.Load(); s != 0 {
		return s
	}
	return l.Now().Unix()
}

// Tick sets the time for [Line.Seconds], if the clock is the system's.
//
// The caller keeps calling it every few milliseconds, and calls [Line.StopTicking] at the end.
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

// Trouble says why nothing can be verified or changed now, or returns nil.
func (l *Line) Trouble() error {
	l.Seconds() // if nobody ticks, this looks at the clock
	if l.late.Load() {
		return l.clockBehind()
	}
	return l.Lost()
}

// Lost returns the error of a database that has lost changes, or nil.
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

// DatabaseBehind makes the error of a database at one change when a later one is known.
func DatabaseBehind(found, known int64) error {
	e := bridge.E(bridge.Unavailable, bridge.CodeDatabaseBehind,
		"the database is at change %d, and change %d was made already: it has lost changes, perhaps revocations, as if restored from an old backup", found, known).
		WithHint("restore the newest database; if this is the newest there is, run `ace server restore --accept` (on a cloud: `ace cloud restore --accept`)")
	e.RetryAfter = time.Minute
	return e
}

// adopt takes in what the database says. Time goes back only if an operator has accepted that.
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

// Ended reports whether something had ended before an earlier time was accepted.
//
// issued and expires are its times, in unix seconds.
func (l *Line) Ended(issued, expires int64) bool {
	m := l.marks.Load()
	return m != nil && m.ended != 0 && issued <= m.accepted && expires <= m.ended
}

// Stored returns the newest time known to be in the database, in unix seconds.
func (l *Line) Stored() int64 { return l.stored.Load() }

// Store writes the newest time seen, and takes in what others have written.
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
