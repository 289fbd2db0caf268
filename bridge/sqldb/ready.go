package sqldb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"time"
)

const (
	writeEvery = time.Second
	writeTime  = 2 * time.Second
	// writeSize is more than a page, so that a write does not fit in the room that a full disk has left by chance.
	writeSize = 4 << 10 // bytes, written in hex
)

// writes remembers how the last trial write went, so that many askers cost one write a second.
type writes struct {
	mu   sync.Mutex
	at   time.Time
	last error
}

// Writable stores something and reports whether that works. It asks the database at most once a second.
func (db *DB) Writable(ctx context.Context) error {
	db.writes.mu.Lock()
	defer db.writes.mu.Unlock()
	if !db.writes.at.IsZero() && time.Since(db.writes.at) < writeEvery {
		return db.writes.last
	}
	// The answer is for all who ask, also if this one gives up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	db.writes.last = db.tryWrite(ctx)
	db.writes.at = time.Now()
	return db.writes.last
}

func (db *DB) tryWrite(ctx context.Context) error {
	random := make([]byte, writeSize)
	_, _ = rand.Read(random)
	_, err := db.ExecContext(ctx, `INSERT INTO database_facts (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, factProbe, hex.EncodeToString(random))
	if err != nil {
		return fmt.Errorf("a trial write: %w", err)
	}
	return nil
}
