package registry

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/timeline"
)

// tx runs a transaction that takes something away, or may: a session, a role, a single-use token. It gets a change number, stored
// outside the database before tx returns, so that an old backup is noticed when it is restored. Transactions that only give, note
// or count use the database directly; a test lists each with its reason.
func (r *Registry) tx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return r.numbered(ctx, func(tx *sql.Tx) (bool, error) { return true, fn(tx) })
}

// numbered is tx for a rule that reports whether it took something away.
func (r *Registry) numbered(ctx context.Context, rule timeline.Rule) error {
	if r.keys != nil {
		return r.keys.Numbered(ctx, rule)
	}
	return timeline.Numbered(ctx, r.db, r.cfg.Mark, r.log, rule)
}

func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an ID: %w", err)
	}
	return id.String(), nil
}

// hashed is what is stored of a random token of 256 bits.
func hashed(token bridge.Secret) string {
	sum := sha256.Sum256([]byte(token.Reveal()))
	return hex.EncodeToString(sum[:])
}

func at(unix int64) *time.Time {
	if unix == 0 {
		return nil
	}
	t := time.Unix(unix, 0).UTC()
	return &t
}

// wake wakes whoever waits, or will; once is enough.
func wake(waiting chan struct{}) {
	select {
	case waiting <- struct{}{}:
	default:
	}
}

// maxName bounds the names of people, organizations and connections, in bytes.
const maxName = 100
