package upkeep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/vault"
)

// revocationsOfOrg is how many revocations of one organization are delivered at a time, since all of its servers may be slow.
const revocationsOfOrg = 4

// Revocation is a signed statement that ends a key, to be delivered to its server.
type Revocation struct {
	ID     string
	KeyID  string
	Server bridge.ServerURL
	Token  bridge.Secret
	// Connection is the organization's connection to that server, whose link may lead there; empty: there is none.
	Connection string
	Tries      int
	Err        error // why it cannot be delivered, where Token is empty
}

// RevocationsDue wakes the worker that delivers revocations: one may be due.
func (st *Upkeep) RevocationsDue() <-chan struct{} { return st.signals.Revocations }

// DueRevocations lists the revocations to deliver now: first one of each organization, then a second of each, up to a few, so that
// no organization fills the list. Two processes may deliver the same one, which does no harm: a key dies once.
func (st *Upkeep) DueRevocations(ctx context.Context, limit int) ([]Revocation, error) {
	now := st.db.Now()
	rows, err := st.db.QueryContext(ctx, `SELECT id, org_id, key_id, server_url, token, tries, COALESCE((SELECT MIN(c.id) FROM connections c
			WHERE c.org_id = due.org_id AND c.server_url = due.server_url), '') FROM (
			SELECT id, org_id, key_id, server_url, token, tries, next_at, ROW_NUMBER() OVER (PARTITION BY org_id ORDER BY next_at, id) AS n
			FROM revocations WHERE state = 'pending' AND next_at <= $1 AND expires_at > $1) AS due
		WHERE n <= $2 ORDER BY n, next_at, id LIMIT $3`, now.Unix(), revocationsOfOrg, limit)
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (Revocation, error) {
		var v Revocation
		var org, token string
		if err := row.Scan(&v.ID, &org, &v.KeyID, &v.Server, &token, &v.Tries, &v.Connection); err != nil {
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

// PendingRevocation returns the revocation of a key that its server has not taken; zero: there is none.
func (st *Upkeep) PendingRevocation(ctx context.Context, keyID string) (bridge.Secret, error) {
	var v Revocation
	var org, token string
	err := st.db.QueryRowContext(ctx, `SELECT id, org_id, server_url, token FROM revocations
		WHERE key_id = $1 AND state = 'pending' AND expires_at > $2 ORDER BY created_at, id LIMIT 1`, keyID, st.db.Now().Unix()).
		Scan(&v.ID, &org, &v.Server, &token)
	if errors.Is(err, sql.ErrNoRows) {
		return bridge.Secret{}, nil
	}
	if err != nil {
		return bridge.Secret{}, fmt.Errorf("look up the revocation of a key: %w", err)
	}
	return st.vault.Open(vault.RowIdentity{Org: org, Connection: v.ID, Server: v.Server}, token)
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

// ConfirmRevocation notes that the owner or an admin has revoked the key by other means.
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

// What is put off waits for the first time, then twice as long each time, up to the most.
const (
	retryFirst = time.Minute
	retryMost  = 6 * time.Hour
)

// RevocationFailed notes why a server has not taken a revocation, and puts it off.
func (st *Upkeep) RevocationFailed(ctx context.Context, v Revocation, cause string) error {
	wait := schema.Backoff(v.Tries, retryFirst, retryMost)
	_, err := st.db.ExecContext(ctx, `UPDATE revocations SET tries = tries + 1, next_at = $1, cause = $2
		WHERE id = $3 AND state = 'pending'`, st.db.Now().Add(wait).Unix(), cause, v.ID)
	if err != nil {
		return fmt.Errorf("put a revocation off: %w", err)
	}
	return nil
}
