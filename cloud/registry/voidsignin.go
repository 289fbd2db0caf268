package registry

import (
	"context"
	"database/sql"
)

// signinVoiders are the kinds of credential kept by signing in; see [Voider].
func (r *Registry) signinVoiders() []Voider {
	return []Voider{
		{"sign-ins", []string{"pending_logins", "known_devices", "mail_tokens", "outbox"}, r.voidSignIns, ""},
		{"changes of the address", []string{"address_changes"}, r.voidAddressChanges, ""},
		{"second factors", []string{"totp", "recovery_codes"}, r.voidFactors, ""},
	}
}

func (r *Registry) voidSignIns(ctx context.Context, tx *sql.Tx, h Handover) error {
	if !h.whole() {
		return nil
	}
	for _, statement := range []string{
		"DELETE FROM pending_logins WHERE user_id = $1",
		"DELETE FROM known_devices WHERE user_id = $1",
		"UPDATE mail_tokens SET used_at = expires_at WHERE user_id = $1 AND used_at = 0",
	} {
		if _, err := tx.ExecContext(ctx, statement, h.User.ID); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM outbox WHERE recipient = $1 AND kind IN ('verify', 'reset')", h.User.Email)
	return err
}

// voidAddressChanges cancels a pending change of address, even when only a membership ends.
func (r *Registry) voidAddressChanges(ctx context.Context, tx *sql.Tx, h Handover) error {
	return r.endAddressChanges(ctx, tx, h.User.ID)
}

func (r *Registry) voidFactors(ctx context.Context, tx *sql.Tx, h Handover) error {
	if !h.whole() || h.Own {
		return nil
	}
	return forgetTOTP(ctx, tx, h.User.ID)
}
