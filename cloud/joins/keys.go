package joins

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
)

// linkOverlap is how long a replaced key of links stays valid, and sureOverlap how long once its successor has opened a link.
const (
	linkOverlap = 24 * time.Hour
	sureOverlap = time.Hour
	maxLinkKeys = 4 // of a connection
)

// Lookup returns the connection whose API key has that ID, and the public keys that may open its links: none if there is no such
// connection. It is the Lookup of the tunnel's acceptor.
func (st *Store) Lookup(ctx context.Context, keyID string) (connection string, keys []ed25519.PublicKey, err error) {
	rows, err := st.db.QueryContext(ctx, `SELECT c.id, k.public_key FROM connections c JOIN link_keys k ON k.connection_id = c.id
		WHERE c.key_id = $1 AND c.secret <> '' AND (k.expires_at = 0 OR k.expires_at > $2) ORDER BY c.created_at, c.id, k.created_at`,
		bridge.Clip(keyID, maxKeyID), st.db.Now().Unix())
	err = sqldb.Each(rows, err, func(s sqldb.Row) error {
		var id, text string
		if err := s.Scan(&id, &text); err != nil {
			return err
		}
		if connection == "" {
			connection = id
		}
		key, err := bridge.ParseLinkKey(text)
		if err == nil && id == connection {
			keys = append(keys, key)
		}
		return err
	})
	if err != nil {
		return "", nil, fmt.Errorf("look up the keys of links: %w", err)
	}
	return connection, keys, nil
}

// maxKeyID bounds the ID of an API key, in bytes.
const maxKeyID = 64

// linked is a connection whose server acts with the key of its links.
type linked struct {
	connections.Connection
	org   string // slug
	actor audit.Actor
}

// linked reads a connection for its own server, whose request comes from there.
func (st *Store) linked(ctx context.Context, tx *sql.Tx, connection string, from audit.Actor) (linked, error) {
	c, err := connections.FindAny(ctx, tx, connection)
	if errors.Is(err, sql.ErrNoRows) {
		return linked{}, connections.ErrConnection
	}
	if err != nil {
		return linked{}, fmt.Errorf("look up a connection: %w", err)
	}
	l := linked{Connection: c, actor: from}
	if err := tx.QueryRowContext(ctx, "SELECT slug FROM organizations WHERE id = $1", c.OrgID).Scan(&l.org); err != nil {
		return linked{}, fmt.Errorf("look up an organization: %w", err)
	}
	l.actor.ID, l.actor.Org = "link:"+c.KeyID, l.org
	return l, nil
}

// RotateKey replaces the key of a connection's links. The old one stays valid for a day, or until the new one has been used for an
// hour; see [Store.KeyUsed]. The caller has verified that the request is signed with a valid key.
func (st *Store) RotateKey(ctx context.Context, connection string, next ed25519.PublicKey, from audit.Actor) error {
	now := st.db.Now()
	text := bridge.LinkKeyText(next)
	if _, err := bridge.ParseLinkKey(text); err != nil {
		return err
	}
	return st.db.Change(ctx, func(tx *sql.Tx) error {
		l, err := st.linked(ctx, tx, connection, from)
		if err != nil {
			return err
		}
		replaced, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE link_keys SET expires_at = $1 WHERE connection_id = $2 AND expires_at = 0 AND public_key <> $3`,
			now.Add(linkOverlap).Unix(), connection, text))
		if err != nil {
			return fmt.Errorf("replace the key of links: %w", err)
		}
		if !replaced {
			return st.unreplaced(ctx, tx, connection, text)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO link_keys (connection_id, public_key, created_at, used_at, expires_at) VALUES ($1, $2, $3, 0, 0)
			ON CONFLICT (connection_id, public_key) DO UPDATE SET expires_at = 0`, connection, text, now.Unix()); err != nil {
			return fmt.Errorf("store the key of links: %w", err)
		}
		// The key that the server has used last is among those that are kept: it may not know of its successors.
		if _, err := tx.ExecContext(ctx, `DELETE FROM link_keys WHERE connection_id = $1 AND expires_at <> 0 AND (expires_at <= $2 OR public_key NOT IN (
			SELECT k.public_key FROM link_keys k WHERE k.connection_id = $1 ORDER BY CASE WHEN k.expires_at = 0 THEN 1 ELSE 0 END DESC, k.used_at DESC,
			k.created_at DESC, k.public_key LIMIT $3))`, connection, now.Unix(), maxLinkKeys); err != nil {
			return fmt.Errorf("drop old keys of links: %w", err)
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: l.actor, Action: "link.rotate_key", Target: "connection:" + connection,
			Details: map[string]string{"name": l.Name, "key_id": l.KeyID}})
	})
}

// unreplaced says why no key was replaced: the new one is current already, which is fine, or there is none.
func (st *Store) unreplaced(ctx context.Context, tx *sql.Tx, connection, text string) error {
	var current bool
	err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM link_keys WHERE connection_id = $1 AND public_key = $2 AND expires_at = 0)", connection, text).Scan(&current)
	if err == nil && !current {
		err = bridge.E(bridge.Forbidden, bridge.CodeLinkRefused, "the connection has no links")
	}
	return err
}

// KeyUsed notes that a key has opened a link. Once a new key has done so, the one that it replaced is valid for another hour only.
func (st *Store) KeyUsed(ctx context.Context, connection string, key ed25519.PublicKey) error {
	now := st.db.Now()
	text, sure := bridge.LinkKeyText(key), now.Add(sureOverlap).Unix()
	var note bool
	err := st.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM link_keys k WHERE k.connection_id = $1 AND k.public_key = $2
		AND (k.used_at <= $3 OR k.expires_at = 0 AND EXISTS (SELECT 1 FROM link_keys o WHERE o.connection_id = $1 AND o.expires_at > $4)))`,
		connection, text, now.Add(-time.Hour).Unix(), sure).Scan(&note)
	if err != nil || !note {
		return sqldb.Wrap("look up the key of links", err)
	}
	return st.db.Change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE link_keys SET used_at = $1 WHERE connection_id = $2 AND public_key = $3", now.Unix(), connection, text); err != nil {
			return fmt.Errorf("note the use of a link's key: %w", err)
		}
		_, err := tx.ExecContext(ctx, `UPDATE link_keys SET expires_at = $1 WHERE connection_id = $2 AND expires_at > $1
			AND EXISTS (SELECT 1 FROM link_keys k WHERE k.connection_id = $2 AND k.public_key = $3 AND k.expires_at = 0)`, sure, connection, text)
		return sqldb.Wrap("end the overlap of a link's keys", err)
	})
}

// Leave removes a connection as its own owner, because its server leaves. The caller has verified that the request is signed with
// the key of its links.
func (st *Store) Leave(ctx context.Context, connection string, from audit.Actor) error {
	err := st.db.Change(ctx, func(tx *sql.Tx) error {
		l, err := st.linked(ctx, tx, connection, from)
		if err != nil {
			return err
		}
		owner := accounts.Principal{UserID: l.OwnerID, Email: l.Owner, OrgID: l.OrgID, Org: l.org}
		return st.joined.Leave(ctx, tx, owner.As(l.actor), l.Connection)
	})
	st.feed.RightsChanged()
	return err
}
