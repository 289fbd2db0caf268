package keys

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/keys/table"
)

// holds refuses a verified credential that was taken away since: its key has ended, or the access it was issued for was
// withdrawn. The lock on the common version keeps both from happening before the commit.
func holds(ctx context.Context, tx *sql.Tx, who bridge.Identity, now time.Time) error {
	if who.KeyID == uuid.Nil {
		return nil
	}
	r, err := record.Load(ctx, tx, who.KeyID)
	if err != nil {
		return err
	}
	if state := r.Status(now); state != record.StatusActive && state != record.StatusUsedUp { // this may be its last use
		return bridge.E(bridge.Conflict, record.ParentCode(state), "the key %s that asks for it is %s", who.KeyID, state)
	}
	if err := parentLives(ctx, tx, r.Lineage.Parent, now); err != nil {
		return err
	}
	if who.Type == bridge.TypeAccessToken && bridge.Withdrawn(r.Taken.Of, who.Subject, who.IssuedAt, who.Number) {
		return table.ErrWithdrawn
	}
	return nil
}

// parentLives refuses a key with an ancestor that is not active in the database.
func parentLives(ctx context.Context, tx *sql.Tx, id uuid.UUID, now time.Time) error {
	for range record.MaxLineage {
		if id == uuid.Nil {
			return nil
		}
		r, err := record.Load(ctx, tx, id)
		if err != nil {
			return err
		}
		if state := r.Status(now); state != record.StatusActive {
			return bridge.E(bridge.Conflict, record.ParentCode(state), "the key %s that it was made with is %s", id, state).
				WithHint("%s", table.Repair(id, state))
		}
		id = r.Lineage.Parent
	}
	return errLineageLong
}
