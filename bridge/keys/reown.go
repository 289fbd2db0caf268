package keys

import (
	"context"
	"database/sql"

	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/google/uuid"
)

// ReownIn renames the owner of keys, including ended ones, in the caller's transaction.
//
// After the commit, pass the returned IDs to [Authority.TakeIn].
func (a *Authority) ReownIn(ctx context.Context, tx *sql.Tx, from, to string) ([]uuid.UUID, error) {
	owned, err := sqldb.Column[uuid.UUID](tx.QueryContext(ctx, "SELECT id FROM api_keys WHERE owner = $1 OR subject = $1", from))
	if err != nil || len(owned) == 0 {
		return nil, sqldb.Wrap("look for the keys of "+from, err)
	}
	if err := a.Trouble(); err != nil {
		return nil, err
	}
	for _, id := range owned {
		version, err := a.line.Next(ctx, tx)
		if err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE api_keys SET owner = CASE WHEN owner = $1 THEN $2 ELSE owner END,
			subject = CASE WHEN subject = $1 THEN $2 ELSE subject END, version = $3 WHERE id = $4`, from, to, version, id.String()); err != nil {
			return nil, sqldb.Wrap("rename the owner of a key", err)
		}
	}
	return owned, a.table.Tell(ctx, tx)
}
