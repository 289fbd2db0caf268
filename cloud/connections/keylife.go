package connections

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
)

const (
	// rotateAhead is how long before its end a key is rotated, or the last quarter of its life if that is shorter. Where the
	// cloud cannot rotate it, people have two weeks to see that and connect again.
	rotateAhead = 14 * 24 * time.Hour
	// maxKeyLife bounds the lifetime that a server reports for a key.
	maxKeyLife = 20 * 366 * 24 * time.Hour
)

// KeyLife is the period in which a key's secret is valid, according to its server; zero: it does not say.
type KeyLife struct{ Issued, Expires time.Time }

// Sane drops times that cannot be right.
func (l KeyLife) Sane(now time.Time) KeyLife {
	if l.Expires.IsZero() || l.Expires.Before(now.Add(-maxKeyLife)) || l.Expires.After(now.Add(maxKeyLife)) {
		return KeyLife{}
	}
	if l.Issued.IsZero() || l.Issued.After(now) || l.Issued.Before(now.Add(-maxKeyLife)) {
		l.Issued = now // the rotation is later for that
	}
	return l
}

// RotateAt is when to rotate the key, in unix seconds; 0: never.
func (l KeyLife) RotateAt() int64 {
	if l.Expires.IsZero() {
		return 0
	}
	return l.Expires.Add(-min(rotateAhead, max(l.Expires.Sub(l.Issued)/4, 0))).Unix()
}

// failedRotation is the last try to rotate a connection's key, if it failed.
type failedRotation struct {
	failedAt    int64
	cause, hint string
}

// api returns the failure with what the principal can do about it. Connecting again replaces only one's own connection.
func (t failedRotation) api(c Connection, p accounts.Principal) *api.Rotation {
	if t.failedAt == 0 {
		return nil
	}
	out := &api.Rotation{At: time.Unix(t.failedAt, 0).UTC(), Cause: t.cause, Hint: t.hint}
	switch {
	case c.orphaned:
		out.Hint = fmt.Sprintf("%s has left: connect the server yourself, share that connection and disconnect this one: `ace connect --server %s`", c.Owner, c.Server)
	case c.Joined != "":
		out.Hint = bridge.RejoinHint
	case c.OwnerID != p.UserID:
		out.Hint = fmt.Sprintf("ask %s to do it: %s", c.Owner, t.hint)
	}
	return out
}

// planRotation plans the rotation of a connection's new key, and forgets that of the old one.
func (st *Store) planRotation(ctx context.Context, tx *sql.Tx, c *Connection) error {
	life := KeyLife{Issued: st.db.Now()}
	if c.Expires != 0 {
		life.Expires = time.Unix(c.Expires, 0)
	}
	c.rotation = failedRotation{}
	_, err := tx.ExecContext(ctx, `UPDATE connections SET rotate_at = $1, rotate_key = '', rotate_tries = 0,
		rotate_failed_at = 0, rotate_cause = '', rotate_hint = '', rotated_at = 0 WHERE id = $2 AND secret = $3`,
		life.RotateAt(), c.ID, c.Secret)
	if err != nil {
		return fmt.Errorf("plan a rotation: %w", err)
	}
	return nil
}

// ConnectAgain is what gives the connection another key.
func (c Connection) ConnectAgain() string {
	if c.Joined != "" {
		return bridge.RejoinHint
	}
	return bridge.ConnectAgain(c.Server)
}
