package keys

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys/record"
)

// change runs one rule: do makes the conditional change of one key under the next version, and returns its audit entry, or nil
// if there was nothing to change. When change returns, the table in memory has the committed change.
func (a *Authority) change(ctx context.Context, id uuid.UUID, do func(tx *sql.Tx, version int64) (*audit.Entry, error)) (record.Record, error) {
	return a.changeFamily(ctx, id, audit.Actor{}, func(x *relatives, version int64) (*audit.Entry, error) { return do(x.tx, version) })
}

// changeFamily is change for a rule that also changes other keys, for the same actor and in the same transaction.
func (a *Authority) changeFamily(ctx context.Context, id uuid.UUID, actor audit.Actor,
	do func(x *relatives, version int64) (*audit.Entry, error)) (record.Record, error) {
	if err := a.Trouble(); err != nil {
		return record.Record{}, err
	}
	var after record.Row
	var made int64
	var others []record.Row
	var x *relatives
	err := a.db.Tx(ctx, func(tx *sql.Tx) error {
		x, others = &relatives{a: a, tx: tx, actor: actor}, nil
		now := a.line.Now()
		version, err := a.line.Next(ctx, tx)
		if err != nil {
			return err
		}
		entry, err := do(x, version)
		if err != nil {
			return err
		}
		if after, err = record.Load(ctx, tx, id); err != nil || entry == nil {
			return err
		}
		for _, other := range x.ids {
			r, err := record.Load(ctx, tx, other)
			if err != nil {
				return err
			}
			others = append(others, r)
		}
		entry.Target = "key:" + id.String()
		if entry.Actor.Org == "" {
			entry.Actor.Org = after.Org
		}
		if err := a.table.Tell(ctx, tx); err != nil {
			return err
		}
		made = max(version, x.last)
		return audit.Write(ctx, tx, now, *entry)
	})
	if err != nil {
		if e := bridge.AsError(err); e.Code == bridge.CodeDatabaseBehind {
			_, _ = a.line.Look(ctx)
		}
		a.doubt(ctx, id)
		if x != nil && len(x.ids) > 0 {
			a.table.Poke()
		}
		return record.Record{}, err
	}
	a.table.Take(&after)
	for i := range others {
		a.table.Take(&others[i])
	}
	if made != 0 {
		a.line.Made(made)
	}
	return after.Record, nil
}

const doubtTimeout = 2 * time.Second

// doubt reads a key again after its change failed: an error at commit leaves open whether the change was made, and the table
// must not lag behind the database. If it cannot be read now, Run catches up later.
func (a *Authority) doubt(ctx context.Context, id uuid.UUID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), doubtTimeout)
	defer cancel()
	r, err := record.Load(ctx, a.db, id)
	switch {
	case err == nil:
		a.table.Take(&r)
	case bridge.CodeOf(err) != record.ErrUnknown.Code:
		a.table.Poke()
	}
}
