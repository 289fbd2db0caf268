package factors

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

const (
	recoveryCount  = 10
	recoveryLength = 16 // base32 characters: 80 bits, too many to guess from a hash
)

func recoveryHash(userID, code string) string {
	return schema.Hash(bridge.NewSecret(userID + ":" + code))
}

// newRecoveryCodes replaces a person's recovery codes and returns the new ones in groups of four characters.
func newRecoveryCodes(ctx context.Context, tx *sql.Tx, userID string) ([]bridge.Secret, error) {
	if _, err := tx.ExecContext(ctx, "DELETE FROM recovery_codes WHERE user_id = $1", userID); err != nil {
		return nil, fmt.Errorf("replace the recovery codes: %w", err)
	}
	codes := make([]bridge.Secret, 0, recoveryCount)
	for range recoveryCount {
		code := rand.Text()[:recoveryLength]
		if _, err := tx.ExecContext(ctx, "INSERT INTO recovery_codes (user_id, hash, used_at) VALUES ($1, $2, 0)",
			userID, recoveryHash(userID, code)); err != nil {
			return nil, fmt.Errorf("store a recovery code: %w", err)
		}
		codes = append(codes, bridge.NewSecret(strings.Join([]string{code[:4], code[4:8], code[8:12], code[12:]}, "-")))
	}
	return codes, nil
}

// useRecoveryCode uses up a recovery code and tells the person by mail, since only ten exist.
func (st *Store) useRecoveryCode(ctx context.Context, tx *sql.Tx, u accounts.User, code string, actor audit.Actor) error {
	used, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE recovery_codes SET used_at = $1 WHERE user_id = $2 AND hash = $3 AND used_at = 0",
		st.db.Now().Unix(), u.ID, recoveryHash(u.ID, code)))
	if err != nil {
		return fmt.Errorf("use a recovery code: %w", err)
	}
	if !used {
		return errOTPInvalid
	}
	if err := audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: actor, Action: "recovery_code.use", Target: "user:" + u.Email}); err != nil {
		return err
	}
	return st.outbox.Notify(ctx, tx, u.ID, "A recovery code of your account was used", actor)
}
