package keys

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/keys/table"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Verify verifies an API key or a derived access token.
//
// It reads nothing from the database and writes nothing, except that the first use of an exchanged key confirms it. A refusal
// has the code key_invalid and wraps the exact cause. If the identity is Counted, the caller calls [Authority.Spend] once it
// knows that the use is allowed.
func (a *Authority) Verify(ctx context.Context, p bridge.Presented, use bridge.Use) (id bridge.Identity, err error) {
	note, err := a.table.Verify(ctx, &p, use, &id)
	if note {
		a.use.note(id.KeyID, a.line.Seconds(), use)
	}
	return id, err
}

// Spend counts one use of an identity that is Counted.
//
// If the rate limit is exceeded the error is of kind TooMany; if no uses are left, the key is refused like any invalid one.
func (a *Authority) Spend(ctx context.Context, id bridge.Identity) error {
	if !id.Counted {
		return nil
	}
	f, ok := a.table.Find(id.KeyID)
	if !ok {
		return nil
	}
	if err := f.Pace(a.line.Now()); err != nil || f.Limits().MaxUses == 0 {
		return err
	}
	now := a.line.Seconds()
	if !f.UsedUp() {
		spent, err := sqldb.Changed(a.db.ExecContext(ctx, `UPDATE api_keys SET uses = uses + 1 WHERE id = $1
			AND uses < max_uses AND ended_at = 0 AND disabled_at = 0`, id.KeyID.String()))
		if err != nil {
			return fmt.Errorf("count the use: %w", err)
		}
		if spent {
			return nil
		}
		r, err := record.Load(ctx, a.db, id.KeyID)
		if err != nil {
			return err
		}
		a.table.Take(&r)
		if r.Uses >= r.Limits.MaxUses {
			a.table.UseUp(id.KeyID)
		}
		if f, ok = a.table.Find(id.KeyID); !ok {
			return table.Invalid(record.ErrUnknown)
		}
	}
	if state := f.Status(now); state != record.StatusActive {
		return table.Invalid(table.Refuse(record.StateCode(state), "the key is %s", state))
	}
	return table.Invalid(table.Refuse(bridge.CodeKeyChanged, "the key has just been changed"))
}

var errLost = errors.New("another request was faster")

// confirm keeps an exchanged key for good: it is in use.
func (a *Authority) confirm(ctx context.Context, f table.Found, now int64) error {
	actor := audit.Actor{ID: "key:" + f.ID().String(), Org: f.Org()}
	_, err := a.changeFamily(ctx, f.ID(), actor, func(x *relatives, version int64) (*audit.Entry, error) {
		confirmed, err := sqldb.Changed(x.tx.ExecContext(ctx, `UPDATE api_keys SET confirm_by = 0, version = $1
			WHERE id = $2 AND confirm_by > $3 AND ended_at = 0`, version, f.ID().String(), now))
		if err != nil {
			return nil, fmt.Errorf("confirm the key: %w", err)
		}
		if !confirmed {
			return nil, errLost
		}
		r, err := record.Load(ctx, x.tx, f.ID())
		if err != nil {
			return nil, err
		}
		if r.Replaces != uuid.Nil {
			if err := x.moveChildren(ctx, r.Replaces, f.ID()); err != nil {
				return nil, err
			}
		}
		return &audit.Entry{Actor: actor, Action: "key.confirm"}, nil
	})
	if !errors.Is(err, errLost) {
		return err
	}
	again, ok := a.table.Find(f.ID()) // change has read the key again
	if !ok {
		return record.ErrUnknown
	}
	if state := again.Status(now); state != record.StatusActive {
		return table.Refuse(record.StateCode(state), "the key is %s", state)
	}
	return nil
}

// Sees reports whether a view includes a key. It answers from memory.
func (a *Authority) Sees(v View, id uuid.UUID) bool {
	f, ok := a.table.Find(id)
	return ok && v.sees(record.Record{Org: f.Org(), Kind: f.Kind()})
}
