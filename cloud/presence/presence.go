// Package presence says which replica of the cloud holds the links of which connection.
//
// A replica is a process. Its row has a lease, which it renews while it lives; what a replica holds counts as long as that lasts:
//
//	started ──► leased ──renewed every 3 s──► leased ──► left, by itself
//	               └──── not renewed for 9 s ──► dead: its rows count no longer, and another replica deletes them
//
// A row of presence goes with its connection. It opens no link and calls no replica: cloud/links does.
package presence

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

const (
	// Lease is how long a replica counts as alive after it was last heard of.
	Lease = 9 * time.Second
	// RenewEvery is how often a replica renews its lease.
	RenewEvery = 3 * time.Second
)

// Store knows the replicas and what they hold, for one of them. Its methods are safe for concurrent use.
type Store struct {
	db  *schema.DB
	id  string
	url bridge.ServerURL
}

// New returns the store of a replica that the others reach at a URL; empty: they do not.
func New(db *schema.DB, url bridge.ServerURL) (*Store, error) {
	id, err := schema.NewID()
	return &Store{db: db, id: id, url: url}, err
}

// Replica is a process of the cloud.
type Replica struct {
	ID  string
	URL bridge.ServerURL // empty: the others do not reach it
}

// Self is the replica whose store this is.
func (st *Store) Self() Replica { return Replica{st.id, st.url} }

// Renew renews the lease of this replica, and deletes the replicas that are dead. If the lease was not there, which is so at the
// start and after a long pause, fresh is true: whatever this replica holds has to be noted again. others is how many other
// replicas are alive.
func (st *Store) Renew(ctx context.Context) (fresh bool, others int, err error) {
	now := st.db.Now()
	until := now.Add(Lease).Unix()
	kept, err := sqldb.Changed(st.db.ExecContext(ctx, "UPDATE replicas SET until = $1 WHERE id = $2 AND until > $3", until, st.id, now.Unix()))
	if err != nil {
		return false, 0, fmt.Errorf("renew the lease of a replica: %w", err)
	}
	if !kept {
		err := st.db.Tx(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, "DELETE FROM replicas WHERE id = $1 OR until <= $2", st.id, now.Unix()); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO replicas (id, url, until) VALUES ($1, $2, $3)", st.id, string(st.url), until)
			return err
		})
		if err != nil {
			return false, 0, fmt.Errorf("take the lease of a replica: %w", err)
		}
	} else if _, err := st.db.ExecContext(ctx, "DELETE FROM replicas WHERE until <= $1", now.Add(-Lease).Unix()); err != nil {
		return false, 0, fmt.Errorf("delete dead replicas: %w", err)
	}
	err = st.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM replicas WHERE id <> $1 AND until > $2", st.id, now.Unix()).Scan(&others)
	return !kept, others, sqldb.Wrap("count the replicas", err)
}

// Leave deletes this replica, because it stops.
func (st *Store) Leave(ctx context.Context) error {
	_, err := st.db.ExecContext(ctx, "DELETE FROM replicas WHERE id = $1", st.id)
	return sqldb.Wrap("delete a replica", err)
}

// Held is how many links of a connection a replica holds, and how many servers are at their ends.
type Held struct {
	Connection     string
	Links, Servers int
}

const noteBatch = 200

// Note stores what this replica holds of some connections. One that is gone is left out.
func (st *Store) Note(ctx context.Context, all []Held) error {
	for from := 0; from < len(all); from += noteBatch {
		some := all[from:min(from+noteBatch, len(all))]
		err := st.db.Tx(ctx, func(tx *sql.Tx) error {
			for _, h := range some {
				if err := st.note(ctx, tx, h); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("note the links of connections: %w", err)
		}
	}
	return nil
}

func (st *Store) note(ctx context.Context, tx *sql.Tx, h Held) error {
	if h.Links == 0 {
		_, err := tx.ExecContext(ctx, "DELETE FROM link_presence WHERE connection_id = $1 AND replica_id = $2", h.Connection, st.id)
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO link_presence (connection_id, replica_id, links, servers)
		SELECT c.id, r.id, CAST($3 AS BIGINT), CAST($4 AS BIGINT) FROM connections c CROSS JOIN replicas r WHERE c.id = $1 AND r.id = $2
		ON CONFLICT (connection_id, replica_id) DO UPDATE SET links = $3, servers = $4`, h.Connection, st.id, h.Links, h.Servers)
	return err
}

// Elsewhere returns another live replica that holds links of a connection; ok is false if there is none.
func (st *Store) Elsewhere(ctx context.Context, connection string) (r Replica, ok bool, err error) {
	err = st.db.QueryRowContext(ctx, `SELECT r.id, r.url FROM link_presence n JOIN replicas r ON r.id = n.replica_id
		WHERE n.connection_id = $1 AND r.id <> $2 AND r.until > $3 ORDER BY n.links DESC, r.id LIMIT 1`,
		connection, st.id, st.db.Now().Unix()).Scan(&r.ID, &r.URL)
	if errors.Is(err, sql.ErrNoRows) {
		return Replica{}, false, nil
	}
	return r, err == nil, sqldb.Wrap("look up who holds a connection's links", err)
}

// Stranger returns the ID of another live replica with links that this one could not use, or the other way round, since one of the
// two has no URL. Of several it is the oldest; empty: there is none.
func (st *Store) Stranger(ctx context.Context) (id string, err error) {
	err = st.db.QueryRowContext(ctx, `SELECT COALESCE(MIN(r.id), '') FROM link_presence n JOIN replicas r ON r.id = n.replica_id
		WHERE r.id <> $1 AND r.until > $2 AND (r.url = '' OR CAST($3 AS TEXT) = '')`, st.id, st.db.Now().Unix(), string(st.url)).Scan(&id)
	return id, sqldb.Wrap("look for other replicas with links", err)
}

// Keys returns the public keys that may open links of some connections, as bridge.LinkKeyText writes them. A connection that is gone
// has none.
func (st *Store) Keys(ctx context.Context, connections []string) (map[string][]string, error) {
	now, out := st.db.Now().Unix(), map[string][]string{}
	for from := 0; from < len(connections); from += noteBatch {
		args := []any{now}
		var list strings.Builder
		for i, id := range connections[from:min(from+noteBatch, len(connections))] {
			args = append(args, id)
			if i > 0 {
				list.WriteString(", ")
			}
			list.WriteString("$" + strconv.Itoa(len(args)))
		}
		rows, err := st.db.QueryContext(ctx, `SELECT c.id, k.public_key FROM connections c JOIN link_keys k ON k.connection_id = c.id
			WHERE c.secret <> '' AND (k.expires_at = 0 OR k.expires_at > $1) AND c.id IN (`+list.String()+")", args...) //nolint:gosec // numbers of parameters
		err = sqldb.Each(rows, err, func(row sqldb.Row) error {
			var id, key string
			err := row.Scan(&id, &key)
			out[id] = append(out[id], key)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look up the keys of links: %w", err)
		}
	}
	return out, nil
}
