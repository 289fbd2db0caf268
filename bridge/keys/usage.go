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
)

const (
	flushEvery = 5 * time.Second
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

func (u *usage) note(id uuid.UUID, now time.Time, use bridge.Use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last[id] = lastUse{at: now.Unix(), use: use}
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

// Run stores last uses every few seconds and forgets the connect tokens that have expired. It returns when ctx ends,
// after it has stored what was left.
func (a *Authority) Run(ctx context.Context) error {
	flush, purge := time.NewTicker(flushEvery), time.NewTicker(purgeEvery)
	defer flush.Stop()
	defer purge.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushEvery)
			defer cancel()
			return a.flush(last)
		case <-flush.C:
			if err := a.flush(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("could not store when keys were last used; trying again", "error", err)
			}
		case <-purge.C:
			if _, err := a.db.ExecContext(ctx, "DELETE FROM used_tokens WHERE expires_at < $1",
				a.cfg.Now().Add(-time.Minute).Unix()); err != nil && ctx.Err() == nil {
				a.log.Warn("could not forget expired connect tokens; trying again", "error", err)
			}
		}
	}
}

func (a *Authority) flush(ctx context.Context) error {
	taken := a.use.take()
	if len(taken) == 0 {
		return nil
	}
	err := a.db.Tx(ctx, func(tx *sql.Tx) error {
		for id, u := range taken {
			agent := u.use.UserAgent[:min(len(u.use.UserAgent), maxAgent)]
			agent = strings.ToValidUTF8(agent, "�") // a header may hold any bytes, a text column may not
			if _, err := tx.ExecContext(ctx, `UPDATE api_keys SET used_at = $1, used_from = $2, used_agent = $3
				WHERE id = $4 AND used_at <= $1`, u.at, u.use.Address, agent, id.String()); err != nil {
				return fmt.Errorf("store last uses: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		a.use.giveBack(taken)
	}
	return err
}
