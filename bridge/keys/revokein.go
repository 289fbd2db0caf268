package keys

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Ending says which keys end together with something else, and why.
type Ending struct {
	Actor  audit.Actor
	Reason string
	IDs    []string
	Owner  string // also all keys of this owner; empty: nobody's
}

// RevokeIn revokes keys, and all keys created with them, in the caller's transaction.
//
// After the commit, pass the returned IDs to [Authority.TakeIn]; until then the table in memory does not know.
func (a *Authority) RevokeIn(ctx context.Context, tx *sql.Tx, e Ending) ([]uuid.UUID, error) {
	ids := e.IDs
	if e.Owner != "" {
		owned, err := sqldb.Column[string](tx.QueryContext(ctx, "SELECT id FROM api_keys WHERE owner = $1 AND ended_at = 0", e.Owner))
		if err != nil {
			return nil, fmt.Errorf("look for the keys of %s: %w", e.Owner, err)
		}
		ids = append(ids[:len(ids):len(ids)], owned...)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if err := a.Trouble(); err != nil {
		return nil, err
	}
	if _, err := a.line.Next(ctx, tx); err != nil { // its lock keeps others from changing the keys meanwhile
		return nil, err
	}
	x := &relatives{a: a, tx: tx, actor: e.Actor}
	x.actor.Org = "" // an entry belongs to the organization of its key
	for _, s := range ids {
		id, err := uuid.Parse(s)
		if err != nil {
			return nil, fmt.Errorf("revoke keys: %w", err)
		}
		r, err := record.Load(ctx, tx, id)
		if errors.Is(err, record.ErrUnknown) || err == nil && !r.EndedAt.IsZero() {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("revoke keys: %w", err)
		}
		if err := x.revoke(ctx, &r, e.Reason); err != nil {
			return nil, err
		}
	}
	if len(x.ids) == 0 {
		return nil, nil
	}
	return x.ids, a.table.Tell(ctx, tx)
}

// TakeIn brings keys changed by [Authority.RevokeIn] or [Authority.ReownIn] into the table in memory.
func (a *Authority) TakeIn(ctx context.Context, ids ...uuid.UUID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), doubtTimeout)
	defer cancel()
	var last int64
	for _, id := range ids {
		r, err := record.Load(ctx, a.db, id)
		if err != nil {
			a.table.Poke()
			continue
		}
		a.table.Take(&r)
		last = max(last, r.Version)
	}
	if last != 0 {
		a.line.Made(last)
	}
}
