package keys

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/acebridge/ace/bridge/sqldb"
)

// houseEvery is how often [Authority.Run] does its housekeeping.
const houseEvery = time.Minute

// Run does the authority's work in the background until ctx ends.
//
// It keeps the table up to date, stores last uses every few seconds, warns of keys that will expire and forgets expired connect
// tokens. Before it returns it stores the last uses that are left.
func (a *Authority) Run(ctx context.Context) error {
	var helpers sync.WaitGroup
	defer helpers.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	helpers.Go(func() { a.table.Run(ctx) })
	flush, minute := time.NewTicker(flushEvery), time.NewTicker(houseEvery)
	defer flush.Stop()
	defer minute.Stop()
	a.housekeeping(ctx)
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushEvery)
			defer cancel()
			return a.use.flush(last, a.db)
		case <-flush.C:
			if err := a.table.StoreTime(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("could not store the newest time; trying again", "error", err)
			}
			if err := a.use.flush(ctx, a.db); err != nil && ctx.Err() == nil {
				a.log.Warn("could not store when keys were last used; trying again", "error", err)
			}
		case <-minute.C:
			a.housekeeping(ctx)
		}
	}
}

// housekeeping forgets expired connect tokens and warns of keys that will expire.
func (a *Authority) housekeeping(ctx context.Context) {
	if err := forget(ctx, a.db, a.line.Now()); err != nil && ctx.Err() == nil {
		a.log.Warn("could not forget expired connect tokens; trying again", "error", err)
	}
	if err := warn(ctx, a.db, a.line.Now()); err != nil && ctx.Err() == nil {
		a.log.Warn("could not warn of keys that expire; trying again", "error", err)
	}
}

// forget deletes used connect tokens that have expired, and remembers the latest expiry among them: if the clock goes back, any
// token that expires no later counts as used.
func forget(ctx context.Context, db *sqldb.DB, now time.Time) error {
	before := now.Add(-time.Minute).Unix()
	return db.Tx(ctx, func(tx *sql.Tx) error {
		// Skipped if the expiries are not later than one that was forgotten before.
		if _, err := tx.ExecContext(ctx, `UPDATE key_changes SET forgotten = (SELECT MAX(expires_at) FROM used_tokens WHERE expires_at < $1)
			WHERE id = 1 AND EXISTS (SELECT 1 FROM used_tokens WHERE expires_at < $1 AND expires_at > key_changes.forgotten)`, before); err != nil {
			return fmt.Errorf("keep the latest forgotten expiry: %w", err)
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM used_tokens WHERE expires_at < $1", before)
		return err
	})
}
