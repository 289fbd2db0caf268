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

// requireStillValid refuses a credential that died after it was verified: its key has ended, or the access it was issued for was
// withdrawn. The lock on the common version rules out that either happens before the commit.
func requireStillValid(ctx context.Context, tx *sql.Tx, who bridge.Identity, now time.Time) error {
	if who.KeyID == uuid.Nil {
		return nil
	}
	r, err := record.Load(ctx, tx, who.KeyID)
	if err != nil {
		return err
	}
	if state := r.Status(now); state != record.StatusActive && state != record.StatusUsedUp { // used_up: this may be its last use
		return bridge.E(bridge.Conflict, record.ParentCode(state), "the key %s that asks for it is %s", who.KeyID, state)
	}
	if err := requireLivingParent(ctx, tx, r.Lineage.Parent, now); err != nil {
		return err
	}
	if who.Type == bridge.TypeAccessToken && bridge.Withdrawn(r.Taken.Of, who.Subject, who.IssuedAt, who.Number) {
		return table.ErrWithdrawn
	}
	return nil
}

// requireLivingParent refuses a key with an ancestor that is not active in the database.
func requireLivingParent(ctx context.Context, tx *sql.Tx, id uuid.UUID, now time.Time) error {
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
