package vault

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/schema"
)

// UseSigningKeys records the numbered keys of ACE_CLOUD_SIGNING_KEY. It refuses a key whose number belonged to another key: servers
// would still look up the old one by that number, and refuse every connect.
func (kp *Keeper) UseSigningKeys(ctx context.Context) error {
	known := false
	var before int
	err := kp.db.Tx(ctx, func(tx *sql.Tx) error {
		known = false
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM signing_keys").Scan(&before); err != nil {
			return fmt.Errorf("read what is known of signing keys: %w", err)
		}
		for kid, key := range kp.root.VerificationKeys() {
			public, was := base64.RawURLEncoding.EncodeToString(key), ""
			if _, err := tx.ExecContext(ctx, `INSERT INTO signing_keys (kid, public_key, first_used_at) VALUES ($1, $2, $3)
				ON CONFLICT (kid) DO NOTHING`, kid, public, kp.db.Now().Unix()); err != nil {
				return fmt.Errorf("note a signing key: %w", err)
			}
			var first int64
			if err := tx.QueryRowContext(ctx, "SELECT public_key, first_used_at FROM signing_keys WHERE kid = $1", kid).Scan(&was, &first); err != nil {
				return fmt.Errorf("read what is known of signing keys: %w", err)
			}
			if was != public {
				return errSigningKey(kid, first)
			}
		}
		var after int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM signing_keys").Scan(&after); err != nil {
			return fmt.Errorf("read what is known of signing keys: %w", err)
		}
		known = before == 0 || after-before < len(kp.root.VerificationKeys())
		return nil
	})
	if err == nil && !known {
		kp.log.Warn("none of the keys in ACE_CLOUD_SIGNING_KEY was used before: sessions end, and servers need new trust variables")
	}
	return err
}

// errSigningKey refuses a key under a number that another key has had since a time.
func errSigningKey(kid string, first int64) error {
	return bridge.E(bridge.Unavailable, bridge.CodeSigningKeyOther,
		"ACE_CLOUD_SIGNING_KEY: the key %s is not the key that has had this number since %s", kid, schema.At(first).Format("2 January 2006")).
		WithHint("put the old key back; a new one takes the next number and goes in front of the old one (2.NEW,1.OLD), or alone where that is lost (2.NEW)")
}
