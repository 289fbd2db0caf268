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
	// writeSize is more than a page, so that the write does not fit into space that a full disk has left by chance.
	writeSize = 4 << 10 // bytes, written in hex
)

// writes remembers the outcome of the last trial write, so that many callers cost one write per second.
type writes struct {
	mu   sync.Mutex
	at   time.Time
	last error
}

// Writable tries to store something and returns the error, at most once a second.
func (db *DB) Writable(ctx context.Context) error {
	db.writes.mu.Lock()
	defer db.writes.mu.Unlock()
	if !db.writes.at.IsZero() && time.Since(db.writes.at) < writeEvery {
		return db.writes.last
	}
	// The outcome is shared, so one caller who gives up must not end the attempt.
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
