package table

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
)

const channel = "ace_keys" // for PostgreSQL's NOTIFY

const (
	clockEvery = 50 * time.Millisecond
	// pollEvery bounds how late another process's change is noticed if its notification is lost.
	pollEvery   = 500 * time.Millisecond
	pollTimeout = 2 * time.Second
	// startOverTimeout bounds the time for loading all keys again.
	startOverTimeout = time.Minute
	// lease is how long keys are verified without a comparison with the database, where others may have revoked some.
	lease = 10 * time.Second
	// catchUpEvery bounds how often unknown keys can trigger an early poll, no matter who sends them.
	catchUpEvery = 100 * time.Millisecond
)

var start = time.Now()

// monotonic is the time since the process started, which changes of the system's clock do not affect.
func monotonic() int64 { return int64(time.Since(start)) }

// keepClock keeps the time that verifications use, and notices when the table goes stale.
func (t *Table) keepClock(ctx context.Context) {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	defer t.line.StopTicking()
	for {
		t.line.Tick()
		if t.cfg.DB.Dialect == sqldb.Postgres {
			stale := monotonic()-t.synced.Load() > int64(lease)
			if t.stale.Swap(stale) != stale {
				t.log.Error("verification and the database", "keys_stale", stale)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// keepUp compares the table with the database when it hears of a change, and regularly.
func (t *Table) keepUp(ctx context.Context) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-poll.C:
			if t.cfg.DB.Dialect == sqldb.SQLite && !t.line.Refuses() {
				continue // nobody else changes it, except an operator who accepts the clock or the database
			}
		}
		if err := t.Pull(ctx); err != nil && ctx.Err() == nil {
			t.log.Warn("could not read which keys have changed; trying again", "error", err)
			if t.cfg.DB.Dialect == sqldb.SQLite {
				time.AfterFunc(pollEvery, t.Poke)
			}
		}
	}
}

// Pull takes in all changes since the last known one.
func (t *Table) Pull(ctx context.Context) error {
	t.pulling.Lock()
	defer t.pulling.Unlock()
	return t.pullLocked(ctx)
}

// pullLocked is Pull for a caller who holds t.pulling.
func (t *Table) pullLocked(ctx context.Context) (err error) {
	defer func() { t.unread.Store(err != nil) }()
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	since, asked := t.version.Load(), monotonic()
	t.attempted.Store(asked)
	now, err := t.line.Look(ctx)
	if err != nil {
		return err
	}
	if now.Version < since || now.Restored != t.loaded.Load() {
		return t.startOver(ctx, since, now.Version)
	}
	last := since
	err = t.each(ctx, "SELECT "+record.Columns+" FROM api_keys WHERE version > $1 ORDER BY version",
		scanRows, func(r *record.Row) {
			last = r.Version
			t.Take(r)
		}, since)
	if err != nil {
		last = max(since, last-1) // the last version may have more rows
	}
	t.version.Store(last) // rows come in order, so the next attempt can continue from here
	if err != nil {
		return err
	}
	t.synced.Store(asked)
	return nil
}

// startOver loads all keys again. The database is behind what was read from it: a failover to a replica or a restored backup has
// lost changes. Nothing is verified meanwhile.
func (t *Table) startOver(ctx context.Context, since, now int64) error {
	t.log.Error("the database has lost changes of keys; loading all of them again", "known", since, "found", now)
	t.stale.Store(true)
	t.synced.Store(monotonic() - int64(lease) - 1)
	t.memory.clear()
	t.feed.startOver()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startOverTimeout)
	defer cancel()
	err := t.Load(ctx)
	if err == nil {
		t.stale.Store(false)
	}
	return err
}

// JustMade reports whether a key was created a moment ago, by the time in its ID (UUID version 7, RFC 9562 section 5.7).
func JustMade(id uuid.UUID, now time.Time) bool {
	if id.Version() != 7 {
		return false
	}
	sec, nsec := id.Time().UnixTime()
	age := now.Sub(time.Unix(sec, nsec))
	return age < lease && age > -lease
}

// catchUp polls early for a presented key that is not in the table: another process may just have created or rotated it.
// However many callers ask, one poll per catchUpEvery serves them all, so that junk reaches the database no more often than
// that. A patient caller waits for the next possible poll.
func (t *Table) catchUp(ctx context.Context, patient bool) bool {
	asked := monotonic()
	if !patient && !t.pulling.TryLock() {
		return false
	} else if patient {
		t.pulling.Lock()
	}
	defer t.pulling.Unlock()
	last := t.attempted.Load()
	if last >= asked {
		return t.synced.Load() >= asked // another caller polled while this one waited
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
	return t.pullLocked(ctx) == nil
}

// listen forwards PostgreSQL's notifications to keepUp.
func (t *Table) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if err := t.listenOnce(ctx); err != nil && ctx.Err() == nil {
			t.log.Warn("not notified of changed keys; polling until that works again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

// listenOnce listens on one connection until it breaks or ctx ends.
func (t *Table) listenOnce(ctx context.Context) error {
	conn, err := t.cfg.DB.Conn(ctx)
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
		// The connection returns to the pool afterwards, unless it is broken.
		defer func() {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), pollTimeout)
			defer cancel()
			_, _ = pg.Conn().Exec(last, "UNLISTEN "+channel)
		}()
		t.Poke() // for changes from before the LISTEN
		for {
			if _, err := pg.Conn().WaitForNotification(ctx); err != nil {
				return err
			}
			t.Poke()
		}
	})
}

// StoreTime stores the newest time seen, and takes in what others have stored.
func (t *Table) StoreTime(ctx context.Context) error {
	m, err := t.line.Store(ctx)
	if err != nil {
		return err
	}
	if t.cfg.DB.Dialect == sqldb.SQLite && m.Restored != t.loaded.Load() {
		t.Poke()
	}
	return nil
}

// noteEnd makes sure that the database knows a time by which something had ended before a caller is told so. Then no restart
// with an earlier clock can bring it back.
func (t *Table) noteEnd(ctx context.Context, end int64) {
	if t.line.Stored() >= end || t.line.Late() {
		return
	}
	if err := t.StoreTime(ctx); err != nil {
		t.log.Warn("could not store that a key has ended; trying again", "error", err)
	}
}

// Poke asks [Table.Run] to compare with the database soon.
func (t *Table) Poke() {
	select {
	case t.wake <- struct{}{}:
	default: // already asked
	}
}

// Run keeps the table up to date with the database until ctx ends.
func (t *Table) Run(ctx context.Context) {
	var helpers sync.WaitGroup
	defer helpers.Wait()
	helpers.Go(func() { t.keepClock(ctx) })
	helpers.Go(func() { t.keepUp(ctx) })
	if t.cfg.DB.Dialect == sqldb.Postgres {
		helpers.Go(func() { t.listen(ctx) })
	}
}

// Tell notifies other processes on the same database once tx is committed.
func (t *Table) Tell(ctx context.Context, tx *sql.Tx) error {
	if t.cfg.DB.Dialect != sqldb.Postgres {
		return nil
	}
	if _, err := tx.ExecContext(ctx, "SELECT pg_notify($1, '')", channel); err != nil {
		return fmt.Errorf("tell of the change: %w", err)
	}
	return nil
}
