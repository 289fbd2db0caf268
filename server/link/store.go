package link

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"database/sql"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrate creates or updates the tables.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	fsys, err := fs.Sub(files, "migrations")
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	return db.Migrate(ctx, "link", fsys)
}

// States of a row.
const (
	stateNew    = "new" // not known to be registered with the cloud
	stateLive   = "live"
	stateLapsed = "lapsed" // its key was never used; the cloud may know the link all the same
)

const maxLapsed = 8 // links that are kept

// row is a link as stored.
type row struct {
	KeyID     string
	PublicKey string // pinned by a join
	Cloud     bridge.ServerURL
	Org       string
	Joined    bool
	State     string
	RotatedAt time.Time

	sealed, next string
}

const columns = "key_id, public_key, cloud, org, joined, state, private_key, next_key, rotated_at"

func scan(r sqldb.Row) (l row, err error) {
	var rotated int64
	err = r.Scan(&l.KeyID, &l.PublicKey, &l.Cloud, &l.Org, &l.Joined, &l.State, &l.sealed, &l.next, &rotated)
	l.RotatedAt = time.Unix(rotated, 0)
	return l, err
}

// Store keeps a server's identity and its links.
type Store struct {
	db    *sqldb.DB
	id    string
	seals seals
	now   func() time.Time
}

// Open migrates the tables and reads the server's ID, which it makes the first time.
//
// The secret is ACE_JWT_SECRET; without one there are no links. A nil now means [time.Now].
func Open(ctx context.Context, db *sqldb.DB, secret bridge.Secret, now func() time.Time) (*Store, error) {
	if now == nil {
		now = time.Now
	}
	if err := Migrate(ctx, db); err != nil {
		return nil, err
	}
	s := &Store{db: db, seals: newSeals(secret), now: now}
	if _, err := db.ExecContext(ctx, "INSERT INTO server_identity (one, id) VALUES (1, $1) ON CONFLICT (one) DO NOTHING", uuid.NewString()); err != nil {
		return nil, fmt.Errorf("make the server's identity: %w", err)
	}
	if err := db.QueryRowContext(ctx, "SELECT id FROM server_identity").Scan(&s.id); err != nil {
		return nil, fmt.Errorf("read the server's identity: %w", err)
	}
	return s, nil
}

// ServerID returns the ID by which a cloud knows this server.
func (s *Store) ServerID() string { return s.id }

// URL returns the URL by which a server is known that has none of its own.
func (s *Store) URL() bridge.ServerURL { return bridge.LinkURL(s.id) }

// Pin returns the value of ACE_CLOUD_PUBLIC_KEY that a join has pinned; empty: none.
func (s *Store) Pin(ctx context.Context) (string, error) {
	rows, err := s.rows(ctx)
	return pinOf(rows), err
}

// pinOf is the pin of a server with these links.
func pinOf(rows []row) string {
	pin := ""
	for _, l := range rows {
		if l.Joined && (l.State == stateLive || l.State == stateNew && pin == "") {
			pin = l.PublicKey
		}
	}
	return pin
}

// rows returns all links: joined ones first, newer ones before older ones.
func (s *Store) rows(ctx context.Context) ([]row, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT "+columns+" FROM server_links ORDER BY joined DESC, created_at DESC, key_id DESC")
	out, err := sqldb.Collect(rows, err, scan)
	if err != nil {
		return nil, fmt.Errorf("read the links: %w", err)
	}
	return out, nil
}

// issue makes the key of a link for an API key that was just exchanged, and returns its public half.
func (s *Store) issue(ctx context.Context, l row) (string, error) {
	public, sealed, err := s.seals.fresh(l.KeyID)
	if err != nil {
		return "", err
	}
	l.State = stateLive
	if l.Joined {
		l.State = stateNew
	}
	now := s.now().Unix()
	_, err = s.db.ExecContext(ctx, `INSERT INTO server_links (key_id, public_key, cloud, org, joined, state, private_key, created_at, rotated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)`, l.KeyID, l.PublicKey, string(l.Cloud), l.Org, l.Joined, l.State, sealed, now)
	if err != nil {
		return "", fmt.Errorf("keep the key of a link: %w", err)
	}
	return encode(public), nil
}

// joined makes a link live that the cloud has registered. It replaces the links of earlier joins.
func (s *Store) joined(ctx context.Context, actor audit.Actor, l row) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		changed, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE server_links SET state = $1 WHERE key_id = $2 AND state = $3",
			stateLive, l.KeyID, stateNew))
		if err != nil {
			return fmt.Errorf("keep the join: %w", err)
		}
		if !changed {
			return nil // another replica was faster
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM server_links WHERE joined AND key_id <> $1", l.KeyID); err != nil {
			return fmt.Errorf("keep the join: %w", err)
		}
		actor.Org = l.Org
		return audit.Write(ctx, tx, s.now(), audit.Entry{Actor: actor, Action: "link.join", Target: l.KeyID,
			Details: map[string]string{"cloud": string(l.Cloud), "org": l.Org, "server": s.id}})
	})
}

// lapse keeps a joined link whose key was never used, for nothing but [Store.proofs], and only the newest of them. Of one that was live
// it is a change of trust, which is audited.
func (s *Store) lapse(ctx context.Context, l row) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		lapsed, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE server_links SET state = $1 WHERE key_id = $2 AND state = $3", stateLapsed, l.KeyID, l.State))
		if err != nil || !lapsed {
			return sqldb.Wrap("keep a lapsed link", err)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM server_links WHERE state = $1 AND key_id NOT IN (
			SELECT k.key_id FROM server_links k WHERE k.state = $1 ORDER BY k.created_at DESC, k.key_id DESC LIMIT $2)`, stateLapsed, maxLapsed); err != nil {
			return fmt.Errorf("forget lapsed links: %w", err)
		}
		if l.State != stateLive {
			return nil
		}
		return s.left(ctx, tx, audit.Actor{ID: "system"}, l, neverUsed)
	})
}

const neverUsed = "its key was never used"

// left audits that a link pins its cloud no more.
func (s *Store) left(ctx context.Context, tx *sql.Tx, actor audit.Actor, l row, why string) error {
	actor.Org = l.Org
	return audit.Write(ctx, tx, s.now(), audit.Entry{Actor: actor, Action: "link.leave", Target: l.KeyID,
		Details: map[string]string{"cloud": string(l.Cloud), "org": l.Org, "reason": why}})
}

// proofs signs with every key of a link that the cloud of a token may know: of the present link, or of a join whose end this server
// has not seen. Keys that cannot be read are left out.
func (s *Store) proofs(ctx context.Context, token bridge.JoinToken, p bridge.JoinProof) ([]string, error) {
	rows, err := s.rows(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(order[a.State], order[b.State]) })
	var out []string
	for _, l := range rows {
		if !l.Joined || l.Cloud != token.Cloud() || l.Org != token.Org() {
			continue
		}
		for _, sealed := range []string{l.sealed, l.next} {
			if key, err := s.seals.open(l.KeyID, sealed); sealed != "" && err == nil && len(out) < bridge.MaxJoinProofs {
				out = append(out, p.Sign(key))
			}
		}
	}
	return out, nil
}

// order says whose keys come first where there are too many.
var order = map[string]int{stateLive: 0, stateNew: 1, stateLapsed: 2}

// drop deletes a link. Of a joined one that was live it is a change of trust, which is audited.
func (s *Store) drop(ctx context.Context, actor audit.Actor, l row, why string, also func(*sql.Tx) error) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		deleted, err := sqldb.Changed(tx.ExecContext(ctx, "DELETE FROM server_links WHERE key_id = $1", l.KeyID))
		if err != nil {
			return fmt.Errorf("forget a link: %w", err)
		}
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		if !deleted || !l.Joined || l.State != stateLive {
			return nil
		}
		return s.left(ctx, tx, actor, l, why)
	})
}

// successor returns the key that replaces a link's, and makes it the first time.
func (s *Store) successor(ctx context.Context, l row) (row, ed25519.PrivateKey, error) {
	if l.next == "" {
		_, sealed, err := s.seals.fresh(l.KeyID)
		if err != nil {
			return l, nil, err
		}
		if _, err := s.db.ExecContext(ctx, "UPDATE server_links SET next_key = $1 WHERE key_id = $2 AND next_key = '' AND private_key = $3",
			sealed, l.KeyID, l.sealed); err != nil {
			return l, nil, fmt.Errorf("keep the next key of a link: %w", err)
		}
		err = s.db.QueryRowContext(ctx, "SELECT next_key FROM server_links WHERE key_id = $1 AND private_key = $2", l.KeyID, l.sealed).Scan(&l.next)
		if err != nil {
			return l, nil, fmt.Errorf("keep the next key of a link: %w", err)
		}
	}
	key, err := s.seals.open(l.KeyID, l.next)
	return l, key, err
}

// rotated puts a link's successor in its place.
func (s *Store) rotated(ctx context.Context, l row) (row, error) {
	now := s.now()
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		changed, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE server_links SET private_key = next_key, next_key = '', rotated_at = $1
			WHERE key_id = $2 AND next_key = $3 AND private_key = $4`, now.Unix(), l.KeyID, l.next, l.sealed))
		if err != nil {
			return fmt.Errorf("rotate the key of a link: %w", err)
		}
		if !changed {
			return nil // another replica was faster
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: audit.Actor{ID: "system", Org: l.Org}, Action: "link.rotate_key", Target: l.KeyID})
	})
	if err != nil {
		return l, err
	}
	l.sealed, l.next, l.RotatedAt = l.next, "", now
	return l, nil
}

func encode(key ed25519.PublicKey) string { return base64.RawURLEncoding.EncodeToString(key) }
