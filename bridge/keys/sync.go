package keys

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/acebridge/ace/bridge/sqldb"
)

const (
	clockEvery = 50 * time.Millisecond
	// pollEvery bounds how late a change of another process is seen when its notification is lost.
	pollEvery   = 500 * time.Millisecond
	pollTimeout = 2 * time.Second
	// startOverTimeout bounds loading all keys again.
	startOverTimeout = time.Minute
	// lease is how long verification goes on without the database, whose other users may have revoked keys.
	lease = 10 * time.Second
	// catchUpEvery bounds how often unknown keys may bring the next poll forward, whoever sends them.
	catchUpEvery = 100 * time.Millisecond
)

var start = time.Now()

// monotonic is the time since the start of the process, which no change of the system's clock moves.
func monotonic() int64 { return int64(time.Since(start)) }

// keepClock keeps the time that verifications use, and watches that the table is not left behind.
func (a *Authority) keepClock(ctx context.Context) {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	defer a.clock.Store(0)
	for {
		if a.realTime {
			a.clock.Store(a.cfg.Now().Unix())
		}
		if a.db.Dialect == sqldb.Postgres {
			stale := monotonic()-a.synced.Load() > int64(lease)
			if a.stale.Swap(stale) != stale {
				a.log.Error("verification and the database", "keys_stale", stale)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// keepUp compares the table with the database, when it is told of a change, and from time to time.
func (a *Authority) keepUp(ctx context.Context) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		case <-poll.C:
			if a.db.Dialect == sqldb.SQLite && !a.time.late.Load() && a.behind.Load() == nil {
				continue // nobody else changes it, unless an operator accepts the clock or the database
			}
		}
		if err := a.pull(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("could not read which keys have changed; trying again", "error", err)
			if a.db.Dialect == sqldb.SQLite {
				time.AfterFunc(pollEvery, a.poke)
			}
		}
	}
}

// pull takes over all changes since the last one that is known.
func (a *Authority) pull(ctx context.Context) error {
	a.pulling.Lock()
	defer a.pulling.Unlock()
	return a.pullLocked(ctx)
}

func (a *Authority) pullLocked(ctx context.Context) (err error) {
	defer func() { a.unread.Store(err != nil) }()
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	since, asked := a.version.Load(), monotonic()
	a.attempted.Store(asked)
	now, err := a.look(ctx)
	if err != nil {
		return err
	}
	if now.version < since || now.restored != a.loaded.Load() {
		return a.startOver(ctx, since, now.version)
	}
	last := since
	err = a.each(ctx, "SELECT "+columns+" FROM api_keys WHERE version > $1 ORDER BY version",
		scanRows, func(r *row) {
			last = r.version
			a.take(r)
		}, since)
	if err != nil {
		last = max(since, last-1) // there may be more rows of the last version
	}
	a.version.Store(last) // the rows come in order, so that a next try goes on from here
	if err != nil {
		return err
	}
	a.synced.Store(asked)
	return nil
}

// startOver loads all keys anew: the database is behind what was read from it, so that changes were lost, at a failover to
// a replica or by a restored backup. Nothing is verified meanwhile.
func (a *Authority) startOver(ctx context.Context, since, now int64) error {
	a.log.Error("the database has lost changes of keys; loading all of them again", "known", since, "found", now)
	a.stale.Store(true)
	a.synced.Store(monotonic() - int64(lease) - 1)
	a.table.clear()
	a.feed.startOver()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startOverTimeout)
	defer cancel()
	err := a.load(ctx)
	if err == nil {
		a.stale.Store(false)
	}
	return err
}

// fresh reports whether a key ID (a UUID of version 7, RFC 9562 section 5.7) says that it was made a moment ago.
func fresh(id uuid.UUID, now time.Time) bool {
	if id.Version() != 7 {
		return false
	}
	sec, nsec := id.Time().UnixTime()
	age := now.Sub(time.Unix(sec, nsec))
	return age < lease && age > -lease
}

// catchUp brings the next poll forward for a key that the table does not have as it was presented: another process may
// have made or rotated it a moment ago. However many ask, one poll in a while serves all, so that junk does not reach the
// database any more than time does. Who is patient waits for the next time that this may be.
func (a *Authority) catchUp(ctx context.Context, patient bool) bool {
	asked := monotonic()
	if !patient && !a.pulling.TryLock() {
		return false
	} else if patient {
		a.pulling.Lock()
	}
	defer a.pulling.Unlock()
	last := a.attempted.Load()
	if last >= asked {
		return a.synced.Load() >= asked // somebody else has tried, while this one waited
	}
	if wait := last + int64(catchUpEvery) - monotonic(); wait > 0 {
		if !patient {
			return false
		}
		timer := time.NewTimer(time.Duration(wait))
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
		}
	}
	return a.pullLocked(ctx) == nil
}

// listen passes PostgreSQL's notifications on to keepUp.
func (a *Authority) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if err := a.listenOnce(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("not told of changes of keys; polling until then", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

func (a *Authority) listenOnce(ctx context.Context) error {
	conn, err := a.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	return conn.Raw(func(raw any) error {
		pg, ok := sqldb.Native(raw).(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the driver is a %T", raw)
		}
		if _, err := pg.Conn().Exec(ctx, "LISTEN "+channel); err != nil {
			return err
		}
		// The connection goes back to the pool afterwards, unless it broke.
		defer func() {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), pollTimeout)
			defer cancel()
			_, _ = pg.Conn().Exec(last, "UNLISTEN "+channel)
		}()
		a.poke() // what happened before the LISTEN
		for {
			if _, err := pg.Conn().WaitForNotification(ctx); err != nil {
				return err
			}
			a.poke()
		}
	})
}
