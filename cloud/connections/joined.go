package connections

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// errLinkURL refuses to connect by hand what only a join connects.
var errLinkURL = bridge.E(bridge.Invalid, bridge.CodeLinkURL,
	"a server that has joined keeps the address and the key that it has joined with").
	WithHint(bridge.RejoinHint)

// linkFacts are stored facts about a connection's links.
type linkFacts struct {
	since      int64 // when the links were opened or lost, unix seconds; 0: there never was one
	reconnects int64
	rtt        int64 // of the last ping, milliseconds; 0: none
}

// way returns how the cloud reaches the server, and how its links are; nil if there never was a link.
func (c Connection) way() (string, *api.ConnectionLink) {
	way := api.WayDirect
	if c.links > 0 || c.Server.LinkOnly() {
		way = api.WayTunnel
	}
	if c.link.since == 0 && c.links == 0 {
		return way, nil
	}
	return way, &api.ConnectionLink{Links: c.links, Servers: c.servers, Since: schema.At(c.link.since), Reconnects: c.link.reconnects,
		RoundTrip: measured(c.link.rtt)}
}

// lines splits a column with one value a line.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// linkKey checks the public key of a server's links, which comes with the key that the server has just issued.
func (in incoming) linkKey(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	key, err := bridge.ParseLinkKey(text)
	if err != nil {
		return "", err
	}
	if in.method != MethodExchange {
		return "", bridge.E(bridge.Invalid, bridge.CodeLinkKeyMalformed, "a link's key comes with a key that its server has sealed")
	}
	return bridge.LinkKeyText(key), nil
}

// keepLinkKey replaces the keys of a connection's links by another; empty: by none. A link is named by the connection's API key, so
// no two connections with links have the same one. Key IDs are random: one that is known here already was copied.
func keepLinkKey(ctx context.Context, tx *sql.Tx, c Connection, key string, now time.Time) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM link_keys WHERE connection_id = $1", c.ID); err != nil {
		return fmt.Errorf("drop the keys of links: %w", err)
	}
	if key == "" {
		return nil
	}
	kept, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO link_keys (connection_id, public_key, created_at, used_at, expires_at)
		SELECT $1, $2, CAST($3 AS BIGINT), 0, 0 WHERE NOT EXISTS (SELECT 1 FROM link_keys k JOIN connections c ON c.id = k.connection_id
			WHERE c.key_id = $4 AND c.id <> $1)`, c.ID, key, now.Unix(), c.KeyID))
	if err != nil {
		return fmt.Errorf("store the key of links: %w", err)
	}
	if !kept {
		return bridge.E(bridge.Forbidden, bridge.CodeLinkRefused, "another connection has links under the same key ID")
	}
	return nil
}

// Joined registers and removes the connections of servers that join. It is safe for concurrent use.
type Joined struct{ store *Store }

// NewJoined returns the registration of joined servers.
func NewJoined(store *Store) *Joined { return &Joined{store} }

// JoinedServer is a server that joins.
type JoinedServer struct {
	ID        string // its own
	URL       bridge.ServerURL
	Name      string // of the connection, if there is none yet; empty: the host's or the server's ID
	SealedKey string
	KeyID     string
	LinkKey   string
	Tags      []string
	Share     bool             // share the connection at once
	Proof     bridge.JoinProof // what a server signs that has joined before
	Proofs    []string         // its signatures
}

// find returns the organization's connection to a server; its ID is empty if there is none.
func (*Joined) find(ctx context.Context, tx *sql.Tx, org accounts.Principal, serverID string) (Connection, error) {
	c, err := scanConnection(tx.QueryRowContext(ctx, "SELECT "+connectionColumns+fromConnections+
		"WHERE c.org_id = $1 AND c.owner_id = $2 AND c.server_id = $3", org.OrgID, org.UserID, serverID))
	if errors.Is(err, sql.ErrNoRows) {
		return Connection{}, nil
	}
	return c, sqldb.Wrap("look up a joined server", err)
}

// own finds the connection that a joining server has already, if it proves that it is the same server: IDs of servers are no secret.
func (j *Joined) own(ctx context.Context, tx *sql.Tx, org accounts.Principal, s JoinedServer) (Connection, error) {
	old, err := j.find(ctx, tx, org, s.ID)
	if err != nil || old.ID == "" {
		return old, err
	}
	rows, err := tx.QueryContext(ctx, "SELECT public_key FROM link_keys WHERE connection_id = $1 AND (expires_at = 0 OR expires_at > $2)", old.ID, j.store.db.Now().Unix())
	var keys []ed25519.PublicKey
	err = sqldb.Each(rows, err, func(r sqldb.Row) error {
		var text string
		if err := r.Scan(&text); err != nil {
			return err
		}
		key, err := bridge.ParseLinkKey(text)
		keys = append(keys, key)
		return err
	})
	if err != nil {
		return old, fmt.Errorf("read the keys of links: %w", err)
	}
	same, err := s.Proof.Verify(s.Proofs, keys)
	if err == nil && !same {
		err = errTaken
	}
	return old, err
}

var errTaken = bridge.E(bridge.Conflict, bridge.CodeJoinServerTaken, "a server with this ID has joined already, and this one has no key of its link").
	WithHint("disconnect it in the dashboard, and join again")

// Claims returns the claims of a connect token for a joining server; the caller signs them.
func (j *Joined) Claims(ctx context.Context, tx *sql.Tx, org accounts.Principal, s JoinedServer) (bridge.ConnectClaims, error) {
	old, err := j.own(ctx, tx, org, s)
	if err != nil {
		return bridge.ConnectClaims{}, err
	}
	return connectClaims(j.store, org, s.URL, old.KeyID)
}

// Register stores the connection of a joining server, which belongs to the organization. A server that joins again proves that it is
// the same one, keeps its connection, and gets another key; the old one is revoked.
func (j *Joined) Register(ctx context.Context, tx *sql.Tx, org accounts.Principal, s JoinedServer) (out Connection, created bool, err error) {
	st := j.store
	in, err := st.open(org, s.URL, s.SealedKey, nil)
	if err != nil {
		return out, false, err
	}
	if in.link, err = in.linkKey(s.LinkKey); err != nil {
		return out, false, err
	}
	if s.KeyID != in.keyID() || in.link == "" || !in.actsAs() {
		return out, false, bridge.E(bridge.Invalid, bridge.CodeSealedKeyInvalid, "the sealed key is not the one that the server names, or it comes without a link's key")
	}
	name := cmp.Or(s.Name, s.URL.URL().Host)
	if s.Name == "" && s.URL.LinkOnly() {
		name = "server-" + s.ID[:8]
	}
	name, plain := bridge.PlainName(name, schema.MaxName)
	if !plain {
		return out, false, accounts.ErrName
	}
	now := st.db.Now()
	if err := accounts.LockOwner(ctx, tx, org, now); err != nil {
		return out, false, err
	}
	old, err := j.own(ctx, tx, org, s)
	if err != nil {
		return out, false, err
	}
	if created = old.ID == ""; created {
		n := newConnection{server: s.URL, name: name, visibility: Private, joined: s.ID, tags: strings.Join(s.Tags, "\n")}
		if s.Share {
			n.visibility = Organization
		}
		out, err = st.insertConnection(ctx, tx, org, n, in)
	} else {
		out, err = st.replaceKey(ctx, tx, org, old, s.URL, in)
	}
	if err != nil {
		return out, created, err
	}
	return out, created, errors.Join(st.planRotation(ctx, tx, &out), keepLinkKey(ctx, tx, out, in.link, now))
}

// Leave removes a connection as its own owner, because its server leaves. Its key is revoked.
func (j *Joined) Leave(ctx context.Context, tx *sql.Tx, caller accounts.Caller, c Connection) error {
	_, err := j.store.remove(ctx, tx, caller, c, ending{action: "connection.leave", reason: "the server has left", after: DueAtOnce})
	return err
}
