package upkeep

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

// ChangeNumbers are what a server says about its changes; zero: nothing.
type ChangeNumbers struct {
	Last     int64
	Restored int64 // at which a database that had lost changes was last accepted
}

// learnNumbers stores the highest change number that a server has reported, which the connection's access tokens name from then on.
// If the server goes on with a database that has lost changes, it is sent the revocations and withdrawals again.
func (st *Upkeep) learnNumbers(ctx context.Context, t Target, n ChangeNumbers) error {
	if n.Last == 0 || t.keyID == "" {
		return nil
	}
	again := false
	err := st.db.Tx(ctx, func(tx *sql.Tx) error {
		again = false
		_, err := tx.ExecContext(ctx, `UPDATE connections SET server_generation = $1, generation_key = key_id
			WHERE id = $2 AND server_url = $3 AND key_id = $4 AND (generation_key <> key_id OR server_generation < $1)`,
			n.Last, t.ID, string(t.Server), t.keyID)
		if err != nil {
			return fmt.Errorf("keep a server's change number: %w", err)
		}
		restored, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE connections SET server_restored = $1
			WHERE id = $2 AND server_url = $3 AND server_restored <> $1 AND $1 <> 0`, n.Restored, t.ID, string(t.Server)))
		if err != nil || !restored {
			return err
		}
		again, err = sqldb.Changed(tx.ExecContext(ctx, `UPDATE revocations SET state = 'pending', cause = '', tries = 0, next_at = $1
			WHERE org_id = $2 AND server_url = $3 AND state = 'delivered' AND token <> '' AND expires_at > $1`,
			st.db.Now().Unix(), t.org, string(t.Server)))
		if err != nil {
			return fmt.Errorf("send revocations again: %w", err)
		}
		// With their numbers: what was made after a withdrawal has a higher one, and is not affected.
		told, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE handed_tokens SET restate = TRUE, number = told_number, makes_keys = TRUE,
			withdrawn_at = 0, next_at = 0, lost_at = $1, tries = 0, cause = ''
			WHERE connection_id = $2 AND made_keys AND told_number <> 0`, st.db.Now().Unix(), t.ID))
		again = again || told
		return sqldb.Wrap("send withdrawals again", err)
	})
	if err == nil && again {
		schema.Wake(st.signals.Revocations)
		schema.Wake(st.signals.Withdrawals)
	}
	return err
}
