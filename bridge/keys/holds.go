package keys

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
)

// holds refuses to give out a secret to a credential that was verified, and was taken away since: its key has ended, or what it was
// issued for was withdrawn. The lock of the common version keeps both from happening before the commit.
func holds(ctx context.Context, tx *sql.Tx, who bridge.Identity, now time.Time) error {
	if who.KeyID == uuid.Nil {
		return nil
	}
	r, err := load(ctx, tx, who.KeyID)
	if err != nil {
		return err
	}
	if state := r.Status(now); state != StatusActive && state != StatusUsedUp { // this may be its last use
		return bridge.E(bridge.Conflict, "parent_"+state, "the key %s that asks for it is %s", who.KeyID, state)
	}
	if err := parentLives(ctx, tx, r.Lineage.Parent, now); err != nil {
		return err
	}
	if who.Type == bridge.TypeAccessToken && bridge.Withdrawn(taken{r.withdrawn, r.numbers, r.highest}.of, who.Subject, who.IssuedAt, who.Number) {
		return errWithdrawn
	}
	return nil
}

// parentLives refuses to give out a secret of a key whose ancestors are not alive, as the database has them.
func parentLives(ctx context.Context, tx *sql.Tx, id uuid.UUID, now time.Time) error {
	for range maxLineage {
		if id == uuid.Nil {
			return nil
		}
		r, err := load(ctx, tx, id)
		if err != nil {
			return err
		}
		if state := r.Status(now); state != StatusActive {
			return bridge.E(bridge.Conflict, "parent_"+state, "the key %s that it was made with is %s", id, state).
				WithHint("%s", repair(id, state))
		}
		id = r.Lineage.Parent
	}
	return errLineageLong
}
