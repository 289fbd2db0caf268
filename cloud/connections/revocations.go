package connections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/vault"
)

const (
	revocationPending = "pending"
	revocationLost    = "lost" // the row cannot be decrypted, so that nothing can sign
	// firstDelivery is how long the one who disconnects has to deliver the revocation before the cloud tries. Where nobody
	// else is to deliver it, it is due at once.
	firstDelivery = 30 * time.Second
	dueAtOnce     = time.Duration(0)
	// revocationsOfOrg is how many revocations of an organization are delivered at a time: its servers may all be slow.
	revocationsOfOrg = 4
)

// queueRevocation signs a connection's key out of the world; the cloud tries to deliver that after a while. A plain key of a
// server that is not ours can only be forgotten; then there is nothing to deliver.
func (st *Store) queueRevocation(ctx context.Context, tx *sql.Tx, p accounts.Principal, c Connection, reason string, after time.Duration) (*api.RevocationDue, error) {
	if !c.ace || c.secret == "" {
		return nil, nil //nolint:nilnil // nothing is due
	}
	secret, err := st.vault.Open(c.row(), c.secret)
	if err != nil {
		// A row that cannot be read must not keep its connection from being removed; whoever removes it is told.
		st.log.Warn("a key could not be revoked because its row cannot be decrypted", "connection", c.ID, "key_id", c.KeyID)
		return &api.RevocationDue{KeyID: c.KeyID, ServerURL: c.server, Status: revocationLost,
			Cause: "the stored key cannot be decrypted; revoke it on the server: ace api-key revoke " + c.KeyID}, nil
	}
	key, err := storedKey(secret)
	if err != nil {
		return nil, err
	}
	token, err := key.SignRevocation(p.Email, reason, st.db.Now())
	if err != nil {
		return nil, fmt.Errorf("sign a revocation: %w", err)
	}
	return st.keepRevocation(ctx, tx, c, token, after)
}

// keepRevocation keeps the revocation of a connection's key, signed by a secret of it, to be delivered after a while.
func (st *Store) keepRevocation(ctx context.Context, tx *sql.Tx, c Connection, token bridge.Secret, after time.Duration) (*api.RevocationDue, error) {
	now := st.db.Now()
	id, err := schema.NewID()
	if err != nil {
		return nil, err
	}
	sealed, err := st.vault.Seal(vault.RowIdentity{Org: c.orgID, Connection: id, Server: c.server}, token)
	if err != nil {
		return nil, err
	}
	expires := c.expires
	if expires == 0 {
		expires = now.AddDate(1, 0, 0).Unix()
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO revocations
		(id, org_id, owner_id, server_url, key_id, token, state, cause, tries, next_at, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, 'pending', '', 0, $7, $8, $9)`,
		id, c.orgID, c.ownerID, string(c.server), c.KeyID, sealed, now.Add(after).Unix(), expires, now.Unix()); err != nil {
		return nil, fmt.Errorf("keep a revocation: %w", err)
	}
	disclosed := token.Disclose()
	return &api.RevocationDue{ID: id, KeyID: c.KeyID, ServerURL: c.server, Status: revocationPending, Token: &disclosed}, nil
}

// Revocation is one to deliver.
type Revocation struct {
	ID     string
	KeyID  string
	Server bridge.ServerURL
	Token  bridge.Secret
	Tries  int
	Err    error // why it cannot be delivered, where Token is empty
}

// RevocationsDue tells that there may be a revocation to deliver.
func (st *Upkeep) RevocationsDue() <-chan struct{} { return st.store.revocationsDue }

// DueRevocations lists the revocations that are to be delivered now: first one of each organization, then a second one, and
// so on up to a few, so that none fills the list. Two processes may deliver one at the same time, which does no harm: a key
// dies once.
func (st *Upkeep) DueRevocations(ctx context.Context, limit int) ([]Revocation, error) {
	now := st.db.Now()
	rows, err := st.db.QueryContext(ctx, `SELECT id, org_id, key_id, server_url, token, tries FROM (
			SELECT id, org_id, key_id, server_url, token, tries, next_at, ROW_NUMBER() OVER (PARTITION BY org_id ORDER BY next_at, id) AS n
			FROM revocations WHERE state = 'pending' AND next_at <= $1 AND expires_at > $1) AS due
		WHERE n <= $2 ORDER BY n, next_at, id LIMIT $3`, now.Unix(), revocationsOfOrg, limit)
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (Revocation, error) {
		var v Revocation
		var org, token string
		if err := row.Scan(&v.ID, &org, &v.KeyID, &v.Server, &token, &v.Tries); err != nil {
			return v, err
		}
		var err error
		if v.Token, err = st.vault.Open(vault.RowIdentity{Org: org, Connection: v.ID, Server: v.Server}, token); err != nil {
			st.log.Warn("a kept revocation cannot be decrypted", "revocation", v.ID)
			v.Err = bridge.E(bridge.Internal, bridge.CodeRowUnreadable,
				"the kept revocation cannot be decrypted; revoke the key on the server: ace api-key revoke %s", v.KeyID).Because(err)
		}
		return v, nil
	})
	return out, sqldb.Wrap("list revocations", err)
}

// RevocationDelivered notes that the server has taken a revocation.
func (st *Upkeep) RevocationDelivered(ctx context.Context, id string, actor audit.Actor) error {
	return st.db.Tx(ctx, func(tx *sql.Tx) error {
		var org, keyID string
		err := tx.QueryRowContext(ctx, `SELECT o.slug, v.key_id FROM revocations v JOIN organizations o ON o.id = v.org_id
			WHERE v.id = $1`, id).Scan(&org, &keyID)
		if errors.Is(err, sql.ErrNoRows) {
			return errRevocation
		}
		if err != nil {
			return fmt.Errorf("note a delivery: %w", err)
		}
		done, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE revocations SET state = 'delivered', cause = ''
			WHERE id = $1 AND state = 'pending'`, id))
		if err != nil {
			return fmt.Errorf("note a delivery: %w", err)
		}
		if !done {
			return nil
		}
		actor.Org = org
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: actor, Action: "revocation.deliver", Target: "key:" + keyID})
	})
}

var errRevocation = bridge.E(bridge.NotFound, bridge.CodeRevocationUnknown, "there is no such revocation")

// ConfirmRevocation is RevocationDelivered by the owner or an admin, who has delivered it by other means.
func (st *Upkeep) ConfirmRevocation(ctx context.Context, caller accounts.Caller, id string) error {
	var ownerID string
	err := st.db.QueryRowContext(ctx, "SELECT owner_id FROM revocations WHERE id = $1 AND org_id = $2", id, caller.OrgID).Scan(&ownerID)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && ownerID != caller.UserID && !caller.Can("connection:manage")) {
		return errRevocation
	}
	if err != nil {
		return fmt.Errorf("look up a revocation: %w", err)
	}
	return st.RevocationDelivered(ctx, id, caller.Actor)
}

const (
	retryFirst = time.Minute
	retryMost  = 6 * time.Hour
)

// RevocationFailed puts a revocation off: a minute, then twice as long each time, up to six hours.
func (st *Upkeep) RevocationFailed(ctx context.Context, v Revocation, cause string) error {
	wait := min(retryFirst<<min(v.Tries, 10), retryMost)
	_, err := st.db.ExecContext(ctx, `UPDATE revocations SET tries = tries + 1, next_at = $1, cause = $2
		WHERE id = $3 AND state = 'pending'`, st.db.Now().Add(wait).Unix(), cause, v.ID)
	if err != nil {
		return fmt.Errorf("put a revocation off: %w", err)
	}
	return nil
}
