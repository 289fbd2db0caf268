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
	"github.com/acebridge/ace/cloud/vault"
)

const (
	// rotateAhead is how long before its end a key is rotated, or the last quarter of its life if that is shorter: where the
	// cloud cannot do it, people have two weeks to see that and connect anew.
	rotateAhead = 14 * 24 * time.Hour
	// rotateLease is how long a process has for one try before another one takes it up. It is more than the time limits of
	// the two calls that a try makes.
	rotateLease = 2 * time.Minute
	// rotatePause is the least time between two rotations of a key, whatever a server says of when it ends.
	rotatePause = time.Hour
	// maxKeyLife bounds what a server says of when a key ends.
	maxKeyLife = 20 * 366 * 24 * time.Hour
)

// KeyLife is since and until when the secret of a key is valid, as its server says; zero: it does not say.
type KeyLife struct{ Issued, Expires time.Time }

// sane is the life without what cannot be.
func (l KeyLife) sane(now time.Time) KeyLife {
	if l.Expires.IsZero() || l.Expires.Before(now.Add(-maxKeyLife)) || l.Expires.After(now.Add(maxKeyLife)) {
		return KeyLife{}
	}
	if l.Issued.IsZero() || l.Issued.After(now) || l.Issued.Before(now.Add(-maxKeyLife)) {
		l.Issued = now // it is rotated later for that
	}
	return l
}

// rotateAt is when the key is to be rotated, 0 for never.
func (l KeyLife) rotateAt() int64 {
	if l.Expires.IsZero() {
		return 0
	}
	return l.Expires.Add(-min(rotateAhead, max(l.Expires.Sub(l.Issued)/4, 0))).Unix()
}

// rotation is the last try to rotate a connection's key, if it failed.
type rotation struct {
	failedAt    int64
	cause, hint string
}

// api says what somebody can do about it. Connecting anew replaces one's own connection and nobody else's.
func (t rotation) api(c Connection, p accounts.Principal) *api.Rotation {
	if t.failedAt == 0 {
		return nil
	}
	out := &api.Rotation{At: time.Unix(t.failedAt, 0).UTC(), Cause: t.cause, Hint: t.hint}
	switch {
	case c.orphaned:
		out.Hint = fmt.Sprintf("%s has left: connect the server yourself, share that connection and disconnect this one: `ace connect --server %s`", c.owner, c.server)
	case c.ownerID != p.UserID:
		out.Hint = fmt.Sprintf("ask %s to do it: %s", c.owner, t.hint)
	}
	return out
}

// planRotation forgets what there was to rotate, and plans it for a connection's new key.
func (st *Store) planRotation(ctx context.Context, tx *sql.Tx, c *Connection) error {
	life := KeyLife{Issued: st.db.Now()}
	if c.expires != 0 {
		life.Expires = time.Unix(c.expires, 0)
	}
	c.rotation = rotation{}
	_, err := tx.ExecContext(ctx, `UPDATE connections SET rotate_at = $1, rotate_key = '', rotate_tries = 0,
		rotate_failed_at = 0, rotate_cause = '', rotate_hint = '', rotated_at = 0 WHERE id = $2 AND secret = $3`,
		life.rotateAt(), c.ID, c.secret)
	if err != nil {
		return fmt.Errorf("plan a rotation: %w", err)
	}
	return nil
}

// learn stores what a server has said of how long the key is valid. While a rotation is under way it may speak of the
// secret that has been replaced, so that nothing is learned then.
func (st *Upkeep) learn(ctx context.Context, t Target, life KeyLife) error {
	if life = life.sane(st.db.Now()); life.Expires.IsZero() || life.Expires.Unix() == t.expires {
		return nil
	}
	_, err := st.db.ExecContext(ctx, `UPDATE connections SET expires_at = $1, rotate_at = $2
		WHERE id = $3 AND server_url = $4 AND secret = $5 AND rotate_key = '' AND expires_at <> $1`,
		life.Expires.Unix(), life.rotateAt(), t.ID, string(t.Server), t.secret)
	if err != nil {
		return fmt.Errorf("store until when a key is valid: %w", err)
	}
	return nil
}

// DueRotation is a connection whose key is to be rotated now.
type DueRotation struct {
	Connection
	org          string
	at, tries    int64
	token, cause string
}

// DueRotations lists the connections whose keys are to be rotated now, the longest due first. What a removed member has
// left and nobody can use is not among them: its key ends as it was given.
func (st *Upkeep) DueRotations(ctx context.Context, limit int) ([]DueRotation, error) {
	now := st.db.Now()
	rows, err := st.db.QueryContext(ctx, `SELECT c.id, c.org_id, o.slug, c.owner_id, c.name, c.server_url, c.key_id, c.secret,
		c.expires_at, c.rotate_at, c.rotate_key, c.rotate_tries, c.rotate_cause`+fromConnections+`JOIN organizations o ON o.id = c.org_id
		WHERE c.rotate_at > 0 AND c.rotate_at <= $1 AND c.rotated_at <= $2 AND c.ace AND c.secret <> ''
		AND NOT (c.visibility = 'private' AND `+orphaned+`) ORDER BY c.rotate_at, c.id LIMIT $3`,
		now.Unix(), now.Add(-rotatePause).Unix(), limit)
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (DueRotation, error) {
		var d DueRotation
		if err := row.Scan(&d.ID, &d.orgID, &d.org, &d.ownerID, &d.name, &d.server, &d.KeyID, &d.secret, &d.expires, &d.at,
			&d.token, &d.tries, &d.cause); err != nil {
			return d, err
		}
		return d, nil
	})
	return out, sqldb.Wrap("list keys to rotate", err)
}

// Rotation is one try to rotate the key of a connection, which no other process makes at the same time.
type Rotation struct {
	Connection string // ID
	Server     bridge.ServerURL
	Key        bridge.Key // with the secret that is in use
	// Idempotency is stored until the new secret is: who asks for the same rotation again, after a crash, is answered the
	// same secret again.
	Idempotency bridge.Secret
	// Err is why it cannot even be tried.
	Err error

	due DueRotation
}

// rotationRow is the identity of the idempotency key, which the secret beside it does not have.
func (c Connection) rotationRow() vault.RowIdentity {
	return vault.RowIdentity{Org: c.orgID, Connection: "rotation:" + c.ID, Server: c.server}
}

// BeginRotation takes up a rotation for a while; false: another process has, or the connection has been changed.
func (st *Upkeep) BeginRotation(ctx context.Context, due DueRotation) (Rotation, bool, error) {
	t := Rotation{Connection: due.ID, Server: due.server, due: due}
	if due.token != "" {
		t.Idempotency, t.Err = st.vault.Open(due.rotationRow(), due.token)
	} else {
		t.Idempotency = bridge.NewSecret(bridge.RandomToken(32))
		var err error
		if t.due.token, err = st.vault.Seal(due.rotationRow(), t.Idempotency); err != nil {
			return Rotation{}, false, err
		}
	}
	t.due.at = st.db.Now().Add(rotateLease).Unix()
	taken, err := sqldb.Changed(st.db.ExecContext(ctx, `UPDATE connections SET rotate_at = $1, rotate_key = $2
		WHERE id = $3 AND server_url = $4 AND secret = $5 AND rotate_at = $6 AND rotate_key = $7`,
		t.due.at, t.due.token, due.ID, string(due.server), due.secret, due.at, due.token))
	if err != nil {
		return Rotation{}, false, fmt.Errorf("begin a rotation: %w", err)
	}
	if t.Err == nil {
		t.Key, t.Err = st.rotatable(due.Connection)
	}
	return t, taken, nil
}

// rotatable opens a key that may rotate itself. One that people have created has the end that they gave it.
func (st *Upkeep) rotatable(c Connection) (bridge.Key, error) {
	key, err := st.store.aceKey(c)
	if err != nil {
		return bridge.Key{}, err
	}
	if key.Kind != bridge.KindSK {
		return bridge.Key{}, bridge.E(bridge.Conflict, bridge.CodeKeyNotOfConnection,
			"a key that somebody has created on the server keeps the end that it was given").
			WithHint("`ace api-key rotate %s --server %s`, and give the new key to `ace connect --server %s --api-key -`", key.ID, c.server, c.server)
	}
	return key, nil
}

// TestToken is an access token of the new secret, as a probe has it.
func (t Rotation) TestToken(key bridge.Key, now time.Time) (bridge.Secret, error) {
	token, err := key.SignAccess(bridge.AccessClaims{Times: bridge.NewTimes(now, bridge.MaxAccessTokenLife), Subject: prober,
		Scope: "*", Role: bridge.RoleViewer, Connection: t.Connection, Probe: true}.ForServer(t.Server))
	if err != nil {
		return bridge.Secret{}, fmt.Errorf("sign an access token: %w", err)
	}
	return token, nil
}

// FinishRotation stores the new secret, which has passed its test, in place of the old one. A new secret that no connection
// can use, because its own was removed or given another key meanwhile, is not left alive: it signs its revocation.
func (st *Upkeep) FinishRotation(ctx context.Context, t Rotation, key bridge.Key, life KeyLife) error {
	now := st.db.Now()
	sealed, err := st.vault.Seal(t.due.row(), key.Text())
	if err != nil {
		return err
	}
	life = life.sane(now)
	expires := int64(0)
	if !life.Expires.IsZero() {
		expires = life.Expires.Unix()
	}
	return st.db.Change(ctx, func(tx *sql.Tx) error {
		stored, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE connections SET secret = $1, expires_at = $2, rotate_at = $3,
			rotated_at = $4, rotate_key = '', rotate_tries = 0, rotate_failed_at = 0, rotate_cause = '', rotate_hint = ''
			WHERE id = $5 AND server_url = $6 AND secret = $7`,
			sealed, expires, life.rotateAt(), now.Unix(), t.Connection, string(t.Server), t.due.secret))
		if err != nil {
			return fmt.Errorf("store a rotated key: %w", err)
		}
		if !stored {
			t.due.expires = expires
			return st.rotationOvertaken(ctx, tx, t, key)
		}
		details := map[string]string{"name": t.due.name, "server_url": string(t.Server), "key_id": t.due.KeyID}
		if expires != 0 {
			details["expires_at"] = life.Expires.UTC().Format(time.RFC3339)
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: audit.Actor{ID: "system", Org: t.due.org}, Action: "connection.rotate",
			Target: "connection:" + t.Connection, Details: details})
	})
}

// rotationOvertaken looks at what has become of a connection whose row is not as the rotation has found it. While it has
// the same key, nothing is lost: either the new secret is there already, or the rotation is taken up again.
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
	token, signed := key.SignRevocation("cloud", "the connection was removed or given another key while the key was rotated", st.store.db.Now())
	if signed != nil {
		return fmt.Errorf("sign a revocation: %w", signed)
	}
	if err != nil || server != t.Server || method != MethodExchange {
		_, err = st.store.keepRevocation(ctx, tx, t.due.Connection, token, dueAtOnce)
		return err
	}
	due, err := st.store.keepRevocation(ctx, tx, t.due.Connection, token, bridge.UnconfirmedLife)
	if err != nil {
		return err
	}
	return revokeAfter(ctx, tx, due.ID, keyID)
}

// RotationFailed notes why a try has failed, and puts the next one off: a minute, then twice as long each time, up to six
// hours, until the key has ended. Each cause is audited when it comes up, and not again each time.
func (st *Upkeep) RotationFailed(ctx context.Context, t Rotation, cause error) error {
	now, e := st.db.Now(), bridge.AsError(cause)
	next := now.Add(min(retryFirst<<min(t.due.tries, 10), retryMost)).Unix()
	if t.due.expires != 0 && t.due.expires <= now.Unix() {
		next = 0
	}
	hint := e.Hint
	if hint == "" {
		hint = reconnect(t.Server)
	}
	return st.db.Tx(ctx, func(tx *sql.Tx) error {
		noted, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE connections SET rotate_at = $1, rotate_tries = rotate_tries + 1,
			rotate_failed_at = $2, rotate_cause = $3, rotate_hint = $4 WHERE id = $5 AND secret = $6 AND rotate_at = $7`,
			next, now.Unix(), e.Detail, hint, t.Connection, t.due.secret, t.due.at))
		if err != nil {
			return fmt.Errorf("note a failed rotation: %w", err)
		}
		if !noted || e.Detail == t.due.cause {
			return nil
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: audit.Actor{ID: "system", Org: t.due.org}, Action: "connection.rotate_failed",
			Target: "connection:" + t.Connection, Outcome: string(e.Code), Details: map[string]string{"name": t.due.name,
				"server_url": string(t.Server), "key_id": t.due.KeyID, "cause": e.Detail, "hint": hint}})
	})
}

// reconnect is the command that gives a connection another key.
func reconnect(server bridge.ServerURL) string { return "ace connect --server " + string(server) }

// expired is what to say of a connection whose key has ended, where its server does not say otherwise.
func (t Target) expired(s Status, now time.Time) Status {
	if t.expires == 0 || t.expires > now.Unix() || s.Status == StatusOnline {
		return s
	}
	s.Status, s.Hint = StatusUnauthorized, reconnect(t.Server)
	s.Cause = "the API key expired on " + time.Unix(t.expires, 0).UTC().Format("2 January 2006")
	return s
}
