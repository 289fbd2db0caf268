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
	flushBatch = 1000 // rows per transaction, so that others can write in between
	maxAgent   = 200
)

// usage collects the last use of each key in memory, so that verifying writes nothing. Run stores it every few seconds.
type usage struct {
	mu   sync.Mutex
	last map[uuid.UUID]lastUse
}

type lastUse struct {
	at  int64
	use bridge.Use
}

func newUsage() *usage { return &usage{last: map[uuid.UUID]lastUse{}} }

// note records a use of a key.
func (u *usage) note(id uuid.UUID, now int64, use bridge.Use) {
	// A copy, because a substring would keep the whole header in memory, including the credential.
	use.UserAgent = strings.Clone(use.UserAgent[:min(len(use.UserAgent), maxAgent)])
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last[id] = lastUse{at: now, use: use}
}

// take returns the recorded uses and starts over.
func (u *usage) take() map[uuid.UUID]lastUse {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.last
	u.last = make(map[uuid.UUID]lastUse, len(taken))
	return taken
}

// giveBack puts uses back that could not be stored, unless there are newer ones.
func (u *usage) giveBack(taken map[uuid.UUID]lastUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, use := range taken {
		if newer, ok := u.last[id]; !ok || newer.at < use.at {
			u.last[id] = use
		}
	}
}

// flush stores the collected uses.
func (u *usage) flush(ctx context.Context, db *sqldb.DB) error {
	taken := u.take()
	for len(taken) > 0 {
		batch := make(map[uuid.UUID]lastUse, min(flushBatch, len(taken)))
		for id, u := range taken {
			if len(batch) == flushBatch {
				break
			}
			batch[id] = u
		}
		if err := storeUses(ctx, db, batch); err != nil {
			u.giveBack(taken)
			return err
		}
		for id := range batch {
			delete(taken, id)
		}
	}
	return nil
}

// storeUses writes one batch of uses, each unless the database has a later one.
func storeUses(ctx context.Context, db *sqldb.DB, batch map[uuid.UUID]lastUse) error {
	return db.Tx(ctx, func(tx *sql.Tx) error {
		store, err := tx.PrepareContext(ctx, `UPDATE api_keys SET used_at = $1, used_from = $2, used_agent = $3
			WHERE id = $4 AND used_at <= $1`)
		if err != nil {
			return fmt.Errorf("store last uses: %w", err)
		}
		defer func() { _ = store.Close() }()
		for id, u := range batch {
			agent := bridge.StoredText(u.use.UserAgent, maxAgent)
			if _, err := store.ExecContext(ctx, u.at, bridge.StoredText(u.use.Address, maxAgent), agent, id.String()); err != nil {
				return fmt.Errorf("store last uses: %w", err)
			}
		}
		return nil
	})
}
