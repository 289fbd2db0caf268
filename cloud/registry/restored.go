package registry

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/acebridge/ace/cloud/factors"
)

// SettleRestored is the [keys.Settle] of the stores, for a backup that was restored. It ends everything that may have ended or been
// used since the backup and that signing in again replaces. Numbers of withdrawals continue above all that were given since, so
// that servers accept them.
func SettleRestored(ctx context.Context, tx *sql.Tx, now time.Time) error {
	for _, table := range []string{"devices", "codes", "provider_logins", "refresh_tokens", "mail_tokens", "pending_logins", "known_devices",
		"invitations", "unproven_sessions", "address_changes", "first_links", "join_tokens", "link_keys"} {
		//nolint:gosec // tables named above
		if _, err := tx.ExecContext(ctx, "UPDATE "+table+" SET expires_at = $1 WHERE expires_at > $1", now.Unix()); err != nil {
			return fmt.Errorf("end what may have been used in %s: %w", table, err)
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE sessions SET ended_at = $1 WHERE ended_at = 0", now.Unix()); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	if err := factors.UseUpCodes(ctx, tx, now.Unix()); err != nil {
		return err
	}
	// Fewer than one statement a second is numbered, so the current Unix time is above every number given so far.
	if _, err := tx.ExecContext(ctx, `UPDATE connections SET statement_number = $1 +
		CASE WHEN statement_number < $2 THEN $2 ELSE statement_number END`, statementsSkipped, now.Unix()); err != nil {
		return fmt.Errorf("go on above the numbers of withdrawals: %w", err)
	}
	// Anyone may have made personal keys since the backup, so servers are told again what each member may do.
	if _, err := tx.ExecContext(ctx, `INSERT INTO handed_tokens (connection_id, user_id, api_key_id, terms, org_id, subject, role, manage, environment,
		maker_id, server_key_id, issued_at, expires_at, withdrawn_at, next_at, makes_keys, made_keys)
		SELECT c.id, m.user_id, '', m.id || '|restored', m.org_id, u.email, m.role, CASE WHEN m.role IN ('owner', 'admin') THEN 'manage' ELSE '' END, '', '', c.key_id, $1, 0, 0, 0, TRUE, TRUE
		FROM connections c JOIN members m ON m.org_id = c.org_id JOIN users u ON u.id = m.user_id WHERE c.ace AND c.act_as AND c.secret <> ''
		ON CONFLICT (connection_id, user_id, api_key_id, terms) DO NOTHING`, now.Unix()); err != nil {
		return fmt.Errorf("tell servers again what members may do: %w", err)
	}
	return nil
}

// statementsSkipped is the smallest number of withdrawal numbers that a restored cloud skips.
const statementsSkipped = 1 << 20
