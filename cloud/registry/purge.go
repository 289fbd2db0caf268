package registry

import (
	"context"
	"fmt"
	"time"
)

// Purge deletes what has been over for a day: sessions, refresh tokens, device logins, links, mail, failed sign-ins,
// invitations and delivered revocations; and the history of connections that is older than 30 days.
func (r *Registry) Purge(ctx context.Context) error {
	before := r.cfg.Now().Add(-24 * time.Hour).Unix()
	for _, statement := range []string{
		"DELETE FROM devices WHERE expires_at < $1",
		"DELETE FROM codes WHERE expires_at < $1",
		"DELETE FROM provider_logins WHERE expires_at < $1",
		"DELETE FROM refresh_tokens WHERE expires_at < $1",
		"DELETE FROM sessions WHERE expires_at < $1 AND NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE session_id = sessions.id)",
		"DELETE FROM revocations WHERE expires_at < $1",
		"DELETE FROM mail_tokens WHERE expires_at < $1",
		"DELETE FROM address_changes WHERE expires_at < $1",
		"DELETE FROM first_links WHERE expires_at < $1",
		"DELETE FROM outbox WHERE expires_at < $1",
		"DELETE FROM pending_logins WHERE expires_at < $1",
		"DELETE FROM unproven_sessions WHERE expires_at < $1",
		"DELETE FROM totp WHERE confirmed_at = 0 AND created_at < $1",
		"DELETE FROM login_failures WHERE last_at < $1",
		"DELETE FROM known_devices WHERE expires_at < $1",
		"DELETE FROM invitations WHERE expires_at < $1",
		"DELETE FROM relay_uses WHERE noted_at < $1",
		`DELETE FROM handed_tokens WHERE expires_at < $1 AND NOT makes_keys
			AND NOT (made_keys AND connection_id IN (SELECT c.id FROM connections c WHERE c.secret <> ''))`,
		"DELETE FROM access_changes WHERE changed_at < $1",
	} {
		if _, err := r.db.ExecContext(ctx, statement, before); err != nil {
			return fmt.Errorf("purge: %w", err)
		}
	}
	return r.purgeHistory(ctx)
}
