package connections

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/vault"
)

const (
	revocationPending = "pending"
	revocationLost    = "lost" // the row cannot be decrypted, so that nothing can sign
	// firstDelivery is how long the person who disconnects has to deliver the revocation before the cloud tries.
	firstDelivery = 30 * time.Second
	// DueAtOnce is for a revocation that only the cloud delivers.
	DueAtOnce = time.Duration(0)
)

// queueRevocation has a connection's key sign its own revocation, and queues it for delivery. A plain key cannot be revoked this
// way, only forgotten; then there is nothing to deliver.
func (st *Store) queueRevocation(ctx context.Context, tx *sql.Tx, p accounts.Principal, c Connection, reason string, after time.Duration) (*api.RevocationDue, error) {
	if !c.Ace || c.Secret == "" {
		return nil, nil //nolint:nilnil // nothing is due
	}
	secret, err := st.vault.Open(c.KeyRow(), c.Secret)
	if err != nil {
		// A row that cannot be read must not keep its connection from being removed; the person who removes it is told.
		st.log.Warn("a key could not be revoked because its row cannot be decrypted", "connection", c.ID, "key_id", c.KeyID)
		return &api.RevocationDue{KeyID: c.KeyID, ServerURL: c.Server, Status: revocationLost,
			Cause: "the stored key cannot be decrypted; revoke it on the server: ace api-key revoke " + c.KeyID}, nil
	}
	key, err := ParseStored(secret)
	if err != nil {
		return nil, err
	}
	token, err := key.SignRevocation(p.Email, reason, st.db.Now())
	if err != nil {
		return nil, fmt.Errorf("sign a revocation: %w", err)
	}
	return st.KeepRevocation(ctx, tx, c, token, after)
}

// KeepRevocation queues the signed revocation of a connection's key, to be delivered after a while.
func (st *Store) KeepRevocation(ctx context.Context, tx *sql.Tx, c Connection, token bridge.Secret, after time.Duration) (*api.RevocationDue, error) {
	now := st.db.Now()
	id, err := schema.NewID()
	if err != nil {
		return nil, err
	}
	sealed, err := st.vault.Seal(vault.RowIdentity{Org: c.OrgID, Connection: id, Server: c.Server}, token)
	if err != nil {
		return nil, err
	}
	expires := c.Expires
	if expires == 0 {
		expires = now.AddDate(1, 0, 0).Unix()
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO revocations
		(id, org_id, owner_id, server_url, key_id, token, state, cause, tries, next_at, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, 'pending', '', 0, $7, $8, $9)`,
		id, c.OrgID, c.OwnerID, string(c.Server), c.KeyID, sealed, now.Add(after).Unix(), expires, now.Unix()); err != nil {
		return nil, fmt.Errorf("keep a revocation: %w", err)
	}
	disclosed := token.Disclose()
	return &api.RevocationDue{ID: id, KeyID: c.KeyID, ServerURL: c.Server, Status: revocationPending, Token: &disclosed}, nil
}

// RevokeAfter makes a revocation wait until a server has accepted the key that replaces the revoked one.
func RevokeAfter(ctx context.Context, tx *sql.Tx, revocation, key string) error {
	if _, err := tx.ExecContext(ctx, "UPDATE revocations SET after_key = $1 WHERE id = $2", key, revocation); err != nil {
		return fmt.Errorf("keep a revocation: %w", err)
	}
	return nil
}
