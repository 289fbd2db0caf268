package keys

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
)

const (
	flushEvery = 5 * time.Second
	flushBatch = 1000 // rows in one transaction, so that others can write in between
	noteEvery  = 3    // seconds; a use is noted only so often, and so at least once between two flushes
	purgeEvery = time.Minute
	maxAgent   = 200
)

// usage gathers the last use of each key in memory, so that verifying writes nothing; Run stores it every few seconds.
type usage struct {
	mu   sync.Mutex
	last map[uuid.UUID]lastUse
}

type lastUse struct {
	at  int64
	use bridge.Use
}

func newUsage() *usage { return &usage{last: map[uuid.UUID]lastUse{}} }

func (u *usage) note(id uuid.UUID, now int64, use bridge.Use) {
	// A copy: the header that it is cut from would be kept whole, with the credential in it.
	use.UserAgent = strings.Clone(use.UserAgent[:min(len(use.UserAgent), maxAgent)])
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last[id] = lastUse{at: now, use: use}
}

func (u *usage) take() map[uuid.UUID]lastUse {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.last
	u.last = make(map[uuid.UUID]lastUse, len(taken))
	return taken
}

// giveBack returns what could not be stored, unless there is something newer.
func (u *usage) giveBack(taken map[uuid.UUID]lastUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, use := range taken {
		if newer, ok := u.last[id]; !ok || newer.at < use.at {
			u.last[id] = use
		}
	}
}

// Run keeps the table up to date, stores last uses every few seconds, warns of keys that expire, and forgets the connect
// tokens that have expired. It returns when ctx ends, after it has stored what was left.
func (a *Authority) Run(ctx context.Context) error {
	var helpers sync.WaitGroup
	defer helpers.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	helpers.Go(func() { a.keepClock(ctx) })
	helpers.Go(func() { a.keepUp(ctx) })
	if a.db.Dialect == sqldb.Postgres {
		helpers.Go(func() { a.listen(ctx) })
	}
	flush, minute := time.NewTicker(flushEvery), time.NewTicker(purgeEvery)
	defer flush.Stop()
	defer minute.Stop()
	a.housekeeping(ctx)
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushEvery)
			defer cancel()
			return a.flush(last)
		case <-flush.C:
			if err := a.storeTime(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("could not store the newest time; trying again", "error", err)
			}
			if err := a.flush(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("could not store when keys were last used; trying again", "error", err)
			}
		case <-minute.C:
			a.housekeeping(ctx)
		}
	}
}

func (a *Authority) housekeeping(ctx context.Context) {
	if err := a.forget(ctx); err != nil && ctx.Err() == nil {
		a.log.Warn("could not forget expired connect tokens; trying again", "error", err)
	}
	if err := a.warn(ctx); err != nil && ctx.Err() == nil {
		a.log.Warn("could not warn of keys that expire; trying again", "error", err)
	}
}

// forget deletes used connect tokens that have expired, and keeps the latest expiry of them: should the clock go back, one
// that expires no later counts as used.
func (a *Authority) forget(ctx context.Context) error {
	before := a.cfg.Now().Add(-time.Minute).Unix()
	return a.db.Tx(ctx, func(tx *sql.Tx) error {
		// Expiries that are no later than one forgotten before change nothing.
		if _, err := tx.ExecContext(ctx, `UPDATE key_changes SET forgotten = (SELECT MAX(expires_at) FROM used_tokens WHERE expires_at < $1)
			WHERE id = 1 AND EXISTS (SELECT 1 FROM used_tokens WHERE expires_at < $1 AND expires_at > key_changes.forgotten)`, before); err != nil {
			return fmt.Errorf("keep the latest forgotten expiry: %w", err)
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM used_tokens WHERE expires_at < $1", before)
		return err
	})
}

func (a *Authority) flush(ctx context.Context) error {
	taken := a.use.take()
	for len(taken) > 0 {
		batch := make(map[uuid.UUID]lastUse, min(flushBatch, len(taken)))
		for id, u := range taken {
			if len(batch) == flushBatch {
				break
			}
			batch[id] = u
		}
		if err := a.store(ctx, batch); err != nil {
			a.use.giveBack(taken)
			return err
		}
		for id := range batch {
			delete(taken, id)
		}
	}
	return nil
}

func (a *Authority) store(ctx context.Context, batch map[uuid.UUID]lastUse) error {
	return a.db.Tx(ctx, func(tx *sql.Tx) error {
		store, err := tx.PrepareContext(ctx, `UPDATE api_keys SET used_at = $1, used_from = $2, used_agent = $3
			WHERE id = $4 AND used_at <= $1`)
		if err != nil {
			return fmt.Errorf("store last uses: %w", err)
		}
		defer func() { _ = store.Close() }()
		for id, u := range batch {
			agent := column(u.use.UserAgent)
			if _, err := store.ExecContext(ctx, u.at, column(u.use.Address), agent, id.String()); err != nil {
				return fmt.Errorf("store last uses: %w", err)
			}
		}
		return nil
	})
}

// column is what a text column takes of a value from outside, which may hold any bytes: one that it does not take would
// keep all others from being stored.
func column(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), maxAgent)], "�"), "\x00", "�")
}
