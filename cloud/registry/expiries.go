package registry

import (
	"context"
	"database/sql"
	"fmt"
)

// CutExpiries is the [keys.Cut] of the stores, for an operator who accepts an earlier clock. Sessions, codes, links and invitations
// that had expired by the later clock stay expired. now and was are Unix times in seconds.
func CutExpiries(ctx context.Context, tx *sql.Tx, now, was int64) error {
	for _, table := range []string{"devices", "codes", "provider_logins", "refresh_tokens", "sessions", "mail_tokens", "pending_logins",
		"known_devices", "invitations", "unproven_sessions", "address_changes", "first_links", "join_tokens", "link_keys"} {
		//nolint:gosec // tables named above
		if _, err := tx.ExecContext(ctx, "UPDATE "+table+" SET expires_at = $1 WHERE expires_at > $1 AND expires_at <= $2", now, was); err != nil {
			return fmt.Errorf("write down what has expired in %s: %w", table, err)
		}
	}
	return nil
}
