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
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/tokens"
	"github.com/acebridge/ace/cloud/vault"
)

const (
	// rotateLease is how long a process has for one try before another takes it up. It exceeds the time limits of the two
	// calls that a try makes.
	rotateLease = 2 * time.Minute
	// rotatePause is the least time between two rotations of a key, whatever a server says about its end.
	rotatePause = time.Hour
)

// learn stores how long the key is valid, as its server says. While a rotation is under way the server may mean the old secret, so
// that nothing is learned then.
func (st *Upkeep) learn(ctx context.Context, t Target, life connections.KeyLife) error {
	if life = life.Sane(st.db.Now()); life.Expires.IsZero() || life.Expires.Unix() == t.expires {
		return nil
	}
	_, err := st.db.ExecContext(ctx, `UPDATE connections SET expires_at = $1, rotate_at = $2
		WHERE id = $3 AND server_url = $4 AND secret = $5 AND rotate_key = '' AND expires_at <> $1`,
		life.Expires.Unix(), life.RotateAt(), t.ID, string(t.Server), t.secret)
	if err != nil {
		return fmt.Errorf("store until when a key is valid: %w", err)
	}
	return nil
}

// DueRotation is a connection whose key is to be rotated now. Of the row, only what identifies the connection and its key is set.
type DueRotation struct {
	connections.Connection
	org          string
	at, tries    int64
	token, cause string
}

// DueRotations lists the keys to rotate now, the longest due first. It leaves out connections of removed members that nobody can
// use: their keys run out.
func (st *Upkeep) DueRotations(ctx context.Context, limit int) ([]DueRotation, error) {
	now := st.db.Now()
	rows, err := st.db.QueryContext(ctx, `SELECT c.id, c.org_id, o.slug, c.owner_id, c.name, c.server_url, c.key_id, c.secret,
		c.expires_at, c.rotate_at, c.rotate_key, c.rotate_tries, c.rotate_cause FROM connections c JOIN users u ON u.id = c.owner_id JOIN organizations o ON o.id = c.org_id
		WHERE c.rotate_at > 0 AND c.rotate_at <= $1 AND c.rotated_at <= $2 AND c.ace AND c.secret <> ''
		AND NOT `+connections.LeftBehind+` ORDER BY c.rotate_at, c.id LIMIT $3`,
		now.Unix(), now.Add(-rotatePause).Unix(), limit)
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (DueRotation, error) {
		var d DueRotation
		if err := row.Scan(&d.ID, &d.OrgID, &d.org, &d.OwnerID, &d.Name, &d.Server, &d.KeyID, &d.Secret, &d.Expires, &d.at,
			&d.token, &d.tries, &d.cause); err != nil {
			return d, err
		}
		return d, nil
	})
	return out, sqldb.Wrap("list keys to rotate", err)
}

// Rotation is one try to rotate a connection's key. No other process makes one at the same time.
type Rotation struct {
	Connection string // ID
	Server     bridge.ServerURL
	Key        bridge.Key // with the secret that is in use
	// Idempotency is stored until the new secret is: a process that asks for the same rotation again after a crash gets the same
	// secret.
	Idempotency bridge.Secret
	// Err is why it cannot even be tried.
	Err error

	due DueRotation
}

// tokenRow is the row identity of the idempotency key, which differs from that of the connection's own key.
func (d DueRotation) tokenRow() vault.RowIdentity {
	return vault.RowIdentity{Org: d.OrgID, Connection: "rotation:" + d.ID, Server: d.Server}
}

// BeginRotation takes up a rotation for a while; false: another process has, or the connection has changed.
func (st *Upkeep) BeginRotation(ctx context.Context, due DueRotation) (Rotation, bool, error) {
	t := Rotation{Connection: due.ID, Server: due.Server, due: due}
	if due.token != "" {
		t.Idempotency, t.Err = st.vault.Open(due.tokenRow(), due.token)
	} else {
		t.Idempotency = bridge.NewSecret(bridge.RandomToken(32))
		var err error
		if t.due.token, err = st.vault.Seal(due.tokenRow(), t.Idempotency); err != nil {
			return Rotation{}, false, err
		}
	}
	t.due.at = st.db.Now().Add(rotateLease).Unix()
	taken, err := sqldb.Changed(st.db.ExecContext(ctx, `UPDATE connections SET rotate_at = $1, rotate_key = $2
		WHERE id = $3 AND server_url = $4 AND secret = $5 AND rotate_at = $6 AND rotate_key = $7`,
		t.due.at, t.due.token, due.ID, string(due.Server), due.Secret, due.at, due.token))
	if err != nil {
		return Rotation{}, false, fmt.Errorf("begin a rotation: %w", err)
	}
	if t.Err == nil {
		t.Key, t.Err = st.rotatable(due.Connection)
	}
	return t, taken, nil
}

// rotatable opens a key that may rotate itself. A key that somebody created keeps the end that they gave it.
func (st *Upkeep) rotatable(c connections.Connection) (bridge.Key, error) {
	key, err := st.store.AceKey(c)
	if err != nil {
		return bridge.Key{}, err
	}
	if key.Kind != bridge.KindSK {
		return bridge.Key{}, bridge.E(bridge.Conflict, bridge.CodeKeyNotOfConnection,
			"a key that somebody has created on the server keeps the end that it was given").
			WithHint("`ace api-key rotate %s --server %s`, and give the new key to `ace connect --server %s --api-key -`", key.ID, c.Server, c.Server)
	}
	return key, nil
}

// TestToken signs an access token with the new secret, to test it.
func (t Rotation) TestToken(key bridge.Key, now time.Time) (bridge.Secret, error) {
	token, err := key.SignAccess(bridge.AccessClaims{Times: bridge.NewTimes(now, bridge.MaxAccessTokenLife), Subject: tokens.Prober,
		Scope: "*", Role: bridge.RoleViewer, Connection: t.Connection, Probe: true}.ForServer(t.Server))
	if err != nil {
		return bridge.Secret{}, fmt.Errorf("sign an access token: %w", err)
	}
	return token, nil
}

// FinishRotation stores the new secret, which has passed its test, in place of the old one. If the connection was removed or got
// another key in the meantime, the new secret signs its own revocation instead.
func (st *Upkeep) FinishRotation(ctx context.Context, t Rotation, key bridge.Key, life connections.KeyLife) error {
	now := st.db.Now()
	sealed, err := st.vault.Seal(t.due.KeyRow(), key.Text())
	if err != nil {
		return err
	}
	life = life.Sane(now)
	expires := int64(0)
	if !life.Expires.IsZero() {
		expires = life.Expires.Unix()
	}
	return st.db.Change(ctx, func(tx *sql.Tx) error {
		stored, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE connections SET secret = $1, expires_at = $2, rotate_at = $3,
			rotated_at = $4, rotate_key = '', rotate_tries = 0, rotate_failed_at = 0, rotate_cause = '', rotate_hint = ''
			WHERE id = $5 AND server_url = $6 AND secret = $7`,
			sealed, expires, life.RotateAt(), now.Unix(), t.Connection, string(t.Server), t.due.Secret))
		if err != nil {
			return fmt.Errorf("store a rotated key: %w", err)
		}
		if !stored {
			t.due.Expires = expires
			return st.rotationOvertaken(ctx, tx, t, key)
		}
		details := map[string]string{"name": t.due.Name, "server_url": string(t.Server), "key_id": t.due.KeyID}
		if expires != 0 {
			details["expires_at"] = life.Expires.UTC().Format(time.RFC3339)
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: audit.Actor{ID: "system", Org: t.due.org}, Action: "connection.rotate",
			Target: "connection:" + t.Connection, Details: details})
	})
}

// rotationOvertaken deals with a connection that has changed since the rotation began. While it has the same key, nothing is lost:
// the new secret is there already, or the rotation is taken up again. Otherwise the new secret is revoked.
func (st *Upkeep) rotationOvertaken(ctx context.Context, tx *sql.Tx, t Rotation, key bridge.Key) error {
	var keyID, method string
	var server bridge.ServerURL
	err := tx.QueryRowContext(ctx, "SELECT key_id, server_url, method FROM connections WHERE id = $1", t.Connection).Scan(&keyID, &server, &method)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("look at a rotated connection: %w", err)
	}
	if err == nil && keyID == t.due.KeyID && server == t.Server {
		return nil
	}
	token, signed := key.SignRevocation("cloud", "the connection was removed or given another key while the key was rotated", st.db.Now())
	if signed != nil {
		return fmt.Errorf("sign a revocation: %w", signed)
	}
	if err != nil || server != t.Server || method != connections.MethodExchange {
		_, err = st.store.KeepRevocation(ctx, tx, t.due.Connection, token, connections.DueAtOnce)
		return err
	}
	due, err := st.store.KeepRevocation(ctx, tx, t.due.Connection, token, bridge.UnconfirmedLife)
	if err != nil {
		return err
	}
	return connections.RevokeAfter(ctx, tx, due.ID, keyID)
}

// RotationFailed notes why a try has failed, and puts the next one off, until the key has ended. A cause is audited when it first
// comes up.
func (st *Upkeep) RotationFailed(ctx context.Context, t Rotation, cause error) error {
	now, e := st.db.Now(), bridge.AsError(cause)
	next := now.Add(schema.Backoff(int(t.due.tries), retryFirst, retryMost)).Unix()
	if t.due.Expires != 0 && t.due.Expires <= now.Unix() {
		next = 0
	}
	hint := e.Hint
	if hint == "" {
		hint = bridge.ConnectAgain(t.Server)
	}
	return st.db.Tx(ctx, func(tx *sql.Tx) error {
		noted, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE connections SET rotate_at = $1, rotate_tries = rotate_tries + 1,
			rotate_failed_at = $2, rotate_cause = $3, rotate_hint = $4 WHERE id = $5 AND secret = $6 AND rotate_at = $7`,
			next, now.Unix(), e.Detail, hint, t.Connection, t.due.Secret, t.due.at))
		if err != nil {
			return fmt.Errorf("note a failed rotation: %w", err)
		}
		if !noted || e.Detail == t.due.cause {
			return nil
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: audit.Actor{ID: "system", Org: t.due.org}, Action: "connection.rotate_failed",
			Target: "connection:" + t.Connection, Outcome: string(e.Code), Details: map[string]string{"name": t.due.Name,
				"server_url": string(t.Server), "key_id": t.due.KeyID, "cause": e.Detail, "hint": hint}})
	})
}

// expired is the status of a connection whose key has ended, unless its server says otherwise.
func (t Target) expired(s Status, now time.Time) Status {
	if t.expires == 0 || t.expires > now.Unix() || s.Status == connections.StatusOnline {
		return s
	}
	s.Status, s.Code, s.Hint = connections.StatusUnauthorized, bridge.CodeKeyExpired, bridge.ConnectAgain(t.Server)
	s.Cause = "the API key expired on " + time.Unix(t.expires, 0).UTC().Format("2 January 2006")
	return s
}
