package timeline

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
)

// ChangeNumbers say how far a database has come: its last change, and the restore last accepted.
type ChangeNumbers struct {
	Last     int64
	Restored int64 // the number at which a restored database was accepted; 0: never
}

// Numbers returns the change numbers as far as this process knows them.
func (l *Line) Numbers() ChangeNumbers {
	return ChangeNumbers{Last: l.highest.Load(), Restored: l.marks.Load().Restored}
}

// Highest returns the highest known change number.
func (l *Line) Highest() int64 { return l.highest.Load() }

const lookTimeout = 2 * time.Second

// Look reads the marks and takes them in.
//
// It also finds out whether the database is behind what was known before; see [Line.Behind].
func (l *Line) Look(ctx context.Context) (Marks, error) {
	known := l.highest.Load() // read before the query: the database can only get further meanwhile
	m, err := readMarks(ctx, l.db)
	if err != nil {
		return Marks{}, err
	}
	l.adopt(m)
	if known = max(known, m.known); m.Version < known {
		l.fallBehind(ctx, m.Version, known)
		return m, nil
	}
	raise(&l.highest, m.Version)
	if l.behind.Swap(nil) != nil {
		l.log.Info("the database is not behind any more", "change", m.Version)
	}
	return m, nil
}

// fallBehind refuses everything from now on, and records how far the database has to come.
func (l *Line) fallBehind(ctx context.Context, found, known int64) {
	raise(&l.highest, known)
	if l.behind.Swap(&lag{found, known}) == nil {
		l.log.Error("the database is behind; refusing everything until that is accepted", "found", found, "known", known)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	if _, err := l.db.ExecContext(ctx, "UPDATE key_changes SET known = $1 WHERE id = 1 AND known < $1", known); err != nil {
		l.log.Warn("could not write down that the database is behind", "error", err)
	}
}

// maxAhead bounds a number reported by others.
const maxAhead = 1 << 40

// Told handles a change number that the cloud has seen: a database below it is behind.
func (l *Line) Told(ctx context.Context, number int64) error {
	if number <= l.highest.Load() || number > l.highest.Load()+maxAhead {
		return nil
	}
	m, err := l.Look(ctx) // another process may have come that far
	if err != nil {
		return err
	}
	if m.Version < number {
		l.fallBehind(ctx, m.Version, number)
	}
	return l.Trouble()
}

// Next takes the next number of the common version.
//
// The row stays locked until the commit, so versions are committed in order.
func (l *Line) Next(ctx context.Context, tx *sql.Tx) (version int64, err error) {
	if err := tx.QueryRowContext(ctx, `UPDATE key_changes SET version = version + 1,
		newest = CASE WHEN newest < $1 AND epoch = $2 THEN $1 ELSE newest END WHERE id = 1
		RETURNING version`, l.Now().Unix(), l.marks.Load().epoch).Scan(&version); err != nil {
		return 0, fmt.Errorf("take the next version: %w", err)
	}
	if known := l.highest.Load(); version <= known { // under the lock, so nobody else has just made that change
		return 0, DatabaseBehind(version-1, known)
	}
	return version, nil
}

// OneMore takes the next number without comparing it with what is known.
func OneMore(ctx context.Context, tx *sql.Tx) (version int64, err error) {
	if err := tx.QueryRowContext(ctx, "UPDATE key_changes SET version = version + 1 WHERE id = 1 RETURNING version").Scan(&version); err != nil {
		return 0, fmt.Errorf("take the next version: %w", err)
	}
	return version, nil
}

// Made records a committed change, in memory and outside the database. Call it before answering.
func (l *Line) Made(version int64) {
	raise(&l.highest, version)
	if err := l.mark.Advance(version); err != nil {
		// The change is made, so it is reported as such. The cloud knows the number too, and the next change records this one.
		l.log.Error("the number of a change could not be kept outside the database", "change", version, "error", err)
	}
}

// Rule does a transaction's work.
//
// It reports whether it took something away: then losing the change must be noticed, as a database that is behind.
type Rule func(tx *sql.Tx) (takes bool, err error)

// Numbered runs a rule on other tables of the database.
//
// If the rule takes something away, it gets a change number, which is stored outside the database before Numbered returns. The
// number is taken last, so its lock is held only for the commit.
func (l *Line) Numbered(ctx context.Context, rule Rule) error {
	var made int64
	err := l.db.Tx(ctx, func(tx *sql.Tx) error {
		made = 0
		takes, err := rule(tx)
		if err != nil || !takes {
			return err
		}
		made, err = l.Next(ctx, tx)
		return err
	})
	switch {
	case err == nil && made != 0:
		l.Made(made)
	case bridge.CodeOf(err) == bridge.CodeDatabaseBehind:
		_, _ = l.Look(ctx)
	}
	return err
}

// Numbered is [Line.Numbered] for a process without a line, such as an operator's command next to a running cloud.
func Numbered(ctx context.Context, db *sqldb.DB, place mark.Place, log *slog.Logger, rule Rule) error {
	kept, err := mark.Open(place, log)
	if err != nil {
		return err
	}
	defer func() { _ = kept.Close() }()
	var made int64
	err = db.Tx(ctx, func(tx *sql.Tx) error {
		made = 0
		takes, err := rule(tx)
		if err != nil || !takes {
			return err
		}
		if made, err = OneMore(ctx, tx); err != nil {
			return err
		}
		if known := kept.Number(); made <= known {
			return DatabaseBehind(made-1, known)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return kept.Advance(made)
}
