package table

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/record"
)

// Load fills the table from the database.
//
// Most keys have no special conditions, and fewer of their columns are read, so that a million keys load within seconds.
func (t *Table) Load(ctx context.Context) error {
	now, err := t.line.Look(ctx)
	if err != nil {
		return err
	}
	const plain = `prev_until = 0 AND allow_from = '' AND rate_count = 0 AND max_uses = 0 AND ended_at = 0 AND disabled_at = 0
		AND confirm_by = 0 AND withdrawn = '' AND parent_id = '' AND limit_scopes = '' AND limit_role = '' AND withdrawn_numbers = ''
		AND withdrawn_highest = 0`
	// One goroutine reads while another fills the table.
	batches, filled := make(chan []record.Row, 4), make(chan struct{})
	go func() {
		defer close(filled)
		for batch := range batches {
			for i := range batch {
				t.memory.put(&batch[i])
			}
		}
	}()
	batch := make([]record.Row, 0, loadBatch)
	put := func(r *record.Row) {
		if batch = append(batch, *r); len(batch) == cap(batch) {
			batches <- batch
			batch = make([]record.Row, 0, loadBatch)
		}
	}
	err = t.each(ctx, `SELECT id, kind, hash, public_key, org, owner, scopes, role, issued_at, expires_at,
		version FROM api_keys WHERE `+plain, scanPlain(), put)
	if err == nil {
		err = t.each(ctx, "SELECT "+record.Columns+" FROM api_keys WHERE NOT ("+plain+")", scanRows, put)
	}
	batches <- batch
	close(batches)
	<-filled
	if err != nil {
		return err
	}
	// Changes made meanwhile have a later version and are caught up with.
	t.version.Store(now.Version)
	t.loaded.Store(now.Restored)
	t.synced.Store(monotonic())
	return nil
}

const loadBatch = 256

func scanRows(rows *sql.Rows) (*record.Row, error) {
	r, err := record.Scan(rows)
	return &r, err
}

func (t *Table) each(ctx context.Context, query string, scan func(*sql.Rows) (*record.Row, error), take func(*record.Row), args ...any) error {
	rows, err := t.cfg.DB.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("load the keys: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return fmt.Errorf("load the keys: %w", err)
		}
		take(r)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("load the keys: %w", err)
	}
	return nil
}

// scanPlain reads the columns of a key without special conditions, reusing one row. Scopes that were parsed before are not
// parsed again.
func scanPlain() func(rows *sql.Rows) (*record.Row, error) {
	parsed := map[string]bridge.Scopes{}
	var r record.Row
	var id, kind, hash, public, scopes, role sql.RawBytes
	var issued, expires int64
	return func(rows *sql.Rows) (*record.Row, error) {
		err := rows.Scan(&id, &kind, &hash, &public, &r.Org, &r.Owner, &scopes, &role, &issued, &expires, &r.Version)
		if err != nil {
			return nil, err
		}
		r.Kind, r.Role = bridge.KeyKind(kind), bridge.Role(role)
		r.IssuedAt, r.ExpiresAt = record.At(issued), record.At(expires)
		if r.ID, err = uuid.ParseBytes(id); err == nil {
			r.Current, err = record.ParseProof(hash, public)
		}
		known, ok := parsed[string(scopes)]
		if !ok && err == nil {
			known, err = bridge.ParseScopes(string(scopes))
			if len(parsed) < maxScopeSets*tableShards {
				parsed[string(scopes)] = known
			}
		}
		if err != nil {
			return nil, fmt.Errorf("the stored key %s is damaged: %w", id, err)
		}
		r.Scopes = known
		return &r, nil
	}
}
