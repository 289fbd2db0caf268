package accounts

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

// BindToken returns the function that binds a personal access token to its maker's membership, and to the sign-in provider that
// the session goes back to: the token ends with either. It runs in the transaction that makes the token.
func BindToken(p Principal) func(ctx context.Context, tx *sql.Tx, id uuid.UUID) error {
	return func(ctx context.Context, tx *sql.Tx, id uuid.UUID) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO token_members (key_id, member_id, provider_id) VALUES ($1, $2, $3)", id.String(), p.Member, p.Provider)
		return sqldb.Wrap("bind a token to its membership", err)
	}
}

// AdoptTokens binds personal access tokens that are older than the IDs of memberships to those that they were made in. It needs
// the table of keys, and has nothing left to do the second time.
func AdoptTokens(ctx context.Context, db *schema.DB) error {
	_, err := db.ExecContext(ctx, `INSERT INTO token_members (key_id, member_id, provider_id)
		SELECT k.id, m.id, '' FROM api_keys k JOIN users u ON u.email = k.owner JOIN organizations o ON o.slug = k.org
		JOIN members m ON m.user_id = u.id AND m.org_id = o.id
		WHERE k.kind = 'pat' AND k.ended_at = 0 AND m.joined_at <= k.issued_at AND NOT EXISTS (SELECT 1 FROM token_members t WHERE t.key_id = k.id)
		ON CONFLICT (key_id) DO NOTHING`)
	return sqldb.Wrap("bind tokens to memberships", err)
}

// VoidTokens revokes the personal access tokens that a condition on token_members t selects.
func (st *Store) VoidTokens(ctx context.Context, tx *sql.Tx, after *AfterCommit, e keys.Ending, condition string, args ...any) error {
	ids, err := sqldb.Column[string](tx.QueryContext(ctx, "SELECT t.key_id FROM token_members t WHERE "+condition, args...)) //nolint:gosec // conditions of the stores
	if err != nil {
		return fmt.Errorf("look for tokens: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM token_members AS t WHERE "+condition, args...); err != nil { //nolint:gosec // as above
		return fmt.Errorf("unbind tokens: %w", err)
	}
	e.IDs = ids
	return st.RevokeKeys(ctx, tx, e, after)
}
