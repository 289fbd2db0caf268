package signin

import (
	"context"
	"database/sql"

	"github.com/acebridge/ace/cloud/accounts"
)

// Voiders are the kinds of credential kept by signing in; see [Voider].
func (st *Store) Voiders() []accounts.Voider {
	return []accounts.Voider{
		{Kind: "sign-ins", Tables: []string{"pending_logins", "known_devices", "mail_tokens", "outbox"}, Void: st.voidSignIns},
		{Kind: "changes of the address", Tables: []string{"address_changes"}, Void: st.voidAddressChanges},
		{Kind: "second factors", Tables: []string{"totp", "recovery_codes"}, Void: st.voidFactors},
	}
}

func (st *Store) voidSignIns(ctx context.Context, tx *sql.Tx, h accounts.Handover) error {
	if !h.Whole() {
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
func (st *Store) voidAddressChanges(ctx context.Context, tx *sql.Tx, h accounts.Handover) error {
	return st.endAddressChanges(ctx, tx, h.User.ID)
}

func (st *Store) voidFactors(ctx context.Context, tx *sql.Tx, h accounts.Handover) error {
	if !h.Whole() || h.Own {
		return nil
	}
	return forgetTOTP(ctx, tx, h.User.ID)
}
