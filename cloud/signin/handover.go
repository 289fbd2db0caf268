package signin

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
)

// takeOver gives an account whose address nobody has proven to the one who proves it now, with a name and password of theirs.
func (st *Store) takeOver(ctx context.Context, tx *sql.Tx, u accounts.User, hash string, h accounts.Handover) (accounts.User, error) {
	if err := tx.QueryRowContext(ctx, "SELECT id FROM users WHERE email = $1", u.Email).Scan(&u.ID); err != nil {
		return u, fmt.Errorf("take an account over: %w", err)
	}
	h.User = u
	first, err := st.prove(ctx, tx, h)
	if err != nil {
		return u, err
	}
	if !first {
		return u, accounts.ErrUserExists
	}
	_, err = tx.ExecContext(ctx, "UPDATE users SET name = $1, password = $2 WHERE id = $3", u.Name, hash, u.ID)
	return u, sqldb.Wrap("take an account over", err)
}
