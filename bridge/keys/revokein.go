package keys

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Ending says which keys end together with something else, and why.
type Ending struct {
	Actor  audit.Actor
	Reason string
	IDs    []string
	Owner  string // all keys of this owner as well; empty: of nobody
}

// RevokeIn revokes keys, and all that were made with them, within the caller's transaction. After its commit, hand the IDs that
// it returns to [Authority.TakeIn]: only then does the table in memory know.
func (a *Authority) RevokeIn(ctx context.Context, tx *sql.Tx, e Ending) ([]uuid.UUID, error) {
	ids := e.IDs
	if e.Owner != "" {
		owned, err := ownedKeys(ctx, tx, e.Owner)
		if err != nil {
			return nil, err
		}
		ids = append(ids[:len(ids):len(ids)], owned...)
	}
	if err := a.Trouble(); err != nil && len(ids) > 0 {
		return nil, err
	}
	var ended []uuid.UUID
	for _, s := range ids {
		id, err := uuid.Parse(s)
		if err != nil {
			return nil, fmt.Errorf("revoke keys: %w", err)
		}
		changed, err := a.revokeOneIn(ctx, tx, id, e)
		if err != nil {
			return nil, err
		}
		if !changed {
			continue
		}
		below := relatives{a: a, tx: tx, actor: e.Actor}
		if err := below.revokeBelow(ctx, id); err != nil {
			return nil, err
		}
		ended = append(append(ended, id), below.ids...)
	}
	if len(ended) > 0 && a.db.Dialect == sqldb.Postgres {
		if _, err := tx.ExecContext(ctx, "SELECT pg_notify($1, '')", channel); err != nil {
			return nil, fmt.Errorf("tell of the change: %w", err)
		}
	}
	return ended, nil
}

func ownedKeys(ctx context.Context, tx *sql.Tx, owner string) ([]string, error) {
	rows, err := tx.QueryContext(ctx, "SELECT id FROM api_keys WHERE owner = $1 AND ended_at = 0", owner)
	if err != nil {
		return nil, fmt.Errorf("look for the keys of %s: %w", owner, err)
	}
	defer func() { _ = rows.Close() }()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("look for the keys of %s: %w", owner, err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func (a *Authority) revokeOneIn(ctx context.Context, tx *sql.Tx, id uuid.UUID, e Ending) (bool, error) {
	now := a.cfg.Now()
	version, err := a.nextVersion(ctx, tx, now)
	if err != nil {
		return false, err
	}
	changed, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE api_keys SET ended_at = $1, ended_by = $2, end_reason = $3, version = $4
		WHERE id = $5 AND ended_at = 0`, now.Unix(), e.Actor.ID, e.Reason, version, id.String()))
	if err != nil || !changed {
		return false, wrap("revoke a key", err)
	}
	actor := e.Actor
	if err := tx.QueryRowContext(ctx, "SELECT org FROM api_keys WHERE id = $1", id.String()).Scan(&actor.Org); err != nil {
		return false, fmt.Errorf("revoke a key: %w", err)
	}
	return true, audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "key.revoke", Target: "key:" + id.String(),
		Details: map[string]string{"reason": e.Reason}})
}

func wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// TakeIn brings keys that were changed by [Authority.RevokeIn] into the table in memory.
func (a *Authority) TakeIn(ctx context.Context, ids ...uuid.UUID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), doubtTimeout)
	defer cancel()
	var last int64
	for _, id := range ids {
		r, err := load(ctx, a.db, id)
		if err != nil {
			a.poke()
			continue
		}
		a.take(&r)
		last = max(last, r.version)
	}
	if last != 0 {
		a.made(last)
	}
}
