package connections

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/vault"
)

// The visibilities, methods and states of a connection.
const (
	Private      = "private"
	Organization = "organization"

	MethodExchange = "exchange"
	MethodManual   = "manual"

	StatusOnline       = "online"
	StatusOffline      = "offline"
	StatusUnauthorized = "unauthorized"
	StatusUnknown      = "unknown"

	NotChecked = "not checked yet" // the cause of a new connection's status
)

// Connection is a row of the table, with its key as it is sealed. The exported fields are for the stores above.
type Connection struct {
	ID      string
	OrgID   string
	OwnerID string
	Owner   string // address, "key:" and the ID of an API key, or "org:" and the slug of the organization
	Name    string
	Server  bridge.ServerURL
	Joined  string // the server's own ID, if it has joined

	Ace        bool   // the key is one of an ace server, and signs access tokens
	KeyID      string // of the key, where it is one of an ace server
	Secret     string // the sealed key, see [Store.OpenKey]; empty: erased
	Expires    int64  // of the key, unix seconds; 0: unknown
	ActAs      bool   // access tokens may name other subjects than the key's own
	KeySubject string // the key's own, where ActAs is false; empty: not known yet
	Number     int64  // of the last statement about the key
	Generation int64  // the highest change number that the server of this key has told
	UsedAt     int64  // unix seconds

	environment                 string
	method, visibility, ceiling string
	preset                      string // of the server, which the ceiling's scopes come from
	own, maker                  limit  // see [Bounds]
	parents                     [accounts.MaxParents]limit
	status, cause, hint         string
	causeCode                   bridge.Code
	tags                        string // one a line
	link                        linkFacts
	links, servers              int   // see [presenceColumns]
	latency                     int64 // of the last probe, milliseconds; 0: unknown
	seenAt, created             int64
	rotation                    failedRotation
	orphaned                    bool // see [orphaned]
}

// KeyRow is the row identity that the connection's key is sealed for.
func (c Connection) KeyRow() vault.RowIdentity {
	return vault.RowIdentity{Org: c.OrgID, Connection: c.ID, Server: c.Server}
}

const connectionColumns = `c.id, c.org_id, c.owner_id, u.email, c.name, c.server_url, c.method, c.visibility, c.ceiling,
	c.ceiling_preset, c.ace, c.key_id, c.secret, c.status, c.cause, c.hint, c.last_seen_at, c.last_used_at, c.expires_at, c.created_at,
	c.latency_ms, c.rotate_failed_at, c.rotate_cause, c.rotate_hint, c.statement_number, c.act_as, c.key_subject,
	CASE WHEN c.generation_key = c.key_id THEN c.server_generation ELSE 0 END, c.environment, c.server_id, c.tags, c.cause_code,
	c.link_since, c.link_reconnects, c.link_rtt_ms, ` + orphaned

const fromConnections = " FROM connections c JOIN users u ON u.id = c.owner_id "

func scanConnection(s sqldb.Row) (Connection, error) {
	var c Connection
	err := s.Scan(&c.ID, &c.OrgID, &c.OwnerID, &c.Owner, &c.Name, &c.Server, &c.method, &c.visibility, &c.ceiling, &c.preset,
		&c.Ace, &c.KeyID, &c.Secret, &c.status, &c.cause, &c.hint, &c.seenAt, &c.UsedAt, &c.Expires, &c.created,
		&c.latency, &c.rotation.failedAt, &c.rotation.cause, &c.rotation.hint, &c.Number, &c.ActAs, &c.KeySubject, &c.Generation, &c.environment,
		&c.Joined, &c.tags, &c.causeCode, &c.link.since, &c.link.reconnects, &c.link.rtt, &c.orphaned)
	return c, err
}

// API is the connection as the principal sees it.
func (c Connection) API(p accounts.Principal) api.Connection {
	out := api.Connection{
		ID: c.ID, Name: c.Name, ServerURL: c.Server, Owner: c.Owner, Visibility: c.visibility, Method: c.method,
		Mine: c.OwnerID == p.UserID, Status: c.status, Cause: c.cause, CauseCode: c.causeCode, Hint: c.hint, KeyID: c.KeyID,
		OwnerGone: c.orphaned, ExpiresAt: schema.At(c.Expires), LastSeenAt: schema.At(c.seenAt), LastUsedAt: schema.At(c.UsedAt), CreatedAt: time.Unix(c.created, 0).UTC(),
	}
	out.LatencyMS, out.Tags = measured(c.latency), lines(c.tags)
	out.Way, out.Link = c.way()
	out.Rotation = c.rotation.api(c, p)
	if c.ceiling != "" {
		out.CeilingPreset, out.Ceiling = c.preset, strings.Fields(c.ceiling)
	}
	var allowed bridge.Scopes
	if out.Access, allowed = c.Bounds(p).access(); out.Access == AccessLimited {
		out.Allowed = allowed.Strings()
	}
	out.OwnerOnly = !c.ActAs
	if c.requireUsable() != nil || !c.ActAs && c.OwnerID != p.UserID {
		out.Access, out.Allowed = AccessNone, nil
	}
	return out
}

// Connections lists the connections that a member sees, oldest first.
func (st *Store) Connections(ctx context.Context, p accounts.Principal, cursor string, limit int) ([]api.Connection, string, error) {
	return st.SearchConnections(ctx, p, Search{}, cursor, limit)
}

// ErrConnection refuses a connection that does not exist for the caller.
var ErrConnection = bridge.E(bridge.NotFound, bridge.CodeConnectionUnknown, "there is no such connection").
	WithHint("ace connections list")

// Find reads a connection that the principal may see.
func (st *Store) Find(ctx context.Context, q schema.Queryer, p accounts.Principal, id string) (Connection, error) {
	args := []any{id}
	c, err := scanSeen(q.QueryRowContext(ctx, callerRows(&args, callerRow{Principal: p, at: st.db.Now()})+selectSeen+"c.id = $1", args...)) //nolint:gosec // numbers of parameters
	if errors.Is(err, sql.ErrNoRows) || err == nil && !c.seenBy(p) {
		return Connection{}, ErrConnection
	}
	if err != nil {
		return Connection{}, fmt.Errorf("look up a connection: %w", err)
	}
	return c, nil
}

// Connection returns a connection that the member sees.
func (st *Store) Connection(ctx context.Context, p accounts.Principal, id string) (api.Connection, error) {
	c, err := st.Find(ctx, st.db, p, id)
	if err != nil {
		return api.Connection{}, err
	}
	return c.API(p), nil
}

// ConnectedSince returns the newest connection of the principal or, for those who see it, of the organization, if it was not made
// before since.
func (st *Store) ConnectedSince(ctx context.Context, p accounts.Principal, since time.Time) ([]api.Connection, error) {
	args := []any{p.OrgID, p.UserID, since.Unix()}
	rows, err := st.db.QueryContext(ctx, callerRows(&args, callerRow{Principal: p, at: st.db.Now()})+selectSeen+"c.org_id = $1 AND c.owner_id IN ($1, $2) AND"+visible+ //nolint:gosec // numbers of parameters
		"AND c.created_at >= $3 ORDER BY c.created_at DESC, c.id DESC LIMIT 1", args...)
	out, _, err := schema.Page(rows, err, 1, func(s sqldb.Row) (api.Connection, error) {
		c, err := scanSeen(s)
		return c.API(p), err
	}, func(c api.Connection) string { return c.ID })
	if err != nil {
		return nil, fmt.Errorf("look for a new connection: %w", err)
	}
	return out, nil
}

const maxPlainKey = 4 << 10

// incoming is a key that a request brings, opened.
type incoming struct {
	secret bridge.Secret
	key    bridge.Key // set when it is one of an ace server
	ace    bool
	method string
	link   string // public key of the server's links; empty: there is none
}

func (in incoming) keyID() string {
	if !in.ace {
		return ""
	}
	return in.key.ID.String()
}

// actsAs reports whether access tokens of the key may name other subjects than its own, as far as that is known before the
// server is asked. A plain key signs no tokens.
func (in incoming) actsAs() bool { return !in.ace || in.key.Kind == bridge.KindSK }

func (st *Store) open(p accounts.Principal, server bridge.ServerURL, sealed string, plain *bridge.Disclosed) (incoming, error) {
	switch {
	case (sealed == "") == (plain == nil || plain.IsZero()):
		return incoming{}, bridge.E(bridge.Invalid, bridge.CodeKeyMissing, "give either a sealed key or an API key")
	case sealed != "":
		jti, err := bridge.SealedJTI(sealed)
		if err != nil {
			return incoming{}, err
		}
		key, err := st.root.OpenSealed(sealed, bridge.SealBinding{Issuer: st.issuer, Org: p.Org, Server: server,
			Subject: p.UserID, JTI: jti})
		if err != nil {
			return incoming{}, err
		}
		return incoming{secret: key.Text(), key: key, ace: true, method: MethodExchange}, nil
	}
	text, err := bridge.OutsideText(plain.Reveal())
	if err != nil || text == "" || !bridge.PlainText(text, maxPlainKey) {
		return incoming{}, bridge.E(bridge.Invalid, bridge.CodeKeyMalformed,
			"the API key is too long, has control characters, or is only white space")
	}
	in := incoming{secret: bridge.NewSecret(text), method: MethodManual}
	if presented, err := bridge.ParsePresented(in.secret); err == nil && presented.IsKey() {
		// It says it is ours: a mistyped one is caught here rather than on the first call.
		if in.key, err = presented.Key(); err != nil {
			e := bridge.AsError(err)
			return incoming{}, bridge.E(bridge.Invalid, e.Code, "%s", e.Detail).WithHint("%s", e.Hint)
		}
		in.ace, in.secret = true, in.key.Text()
	}
	return in, nil
}

// Register stores a connection with its key. A member has one connection to a server: registering it again replaces
// the key, and the old one is revoked on the server. Of several connects at once one registers; the others, whose IfKeyID
// does not hold any more, are told to use that connection, and keep it (see [Store.Keep]).
func (st *Store) Register(ctx context.Context, caller accounts.Caller, req api.RegisterRequest) (api.Connection, bool, error) {
	var none api.Connection
	if err := caller.RequireScope("connection:create"); err != nil {
		return none, false, err
	}
	server, err := bridge.CanonicalURL(strings.TrimSpace(req.ServerURL))
	if err != nil {
		return none, false, err
	}
	if server.LinkOnly() {
		return none, false, errLinkURL
	}
	name, plain := bridge.PlainName(cmp.Or(req.Name, server.URL().Host), schema.MaxName)
	if !plain {
		return none, false, accounts.ErrName
	}
	in, err := st.open(caller.Principal, server, req.SealedKey, req.APIKey)
	if err != nil {
		return none, false, err
	}
	if in.link, err = in.linkKey(req.LinkKey); err != nil {
		return none, false, err
	}
	var out Connection
	created := false
	err = st.feed.changeTx(ctx, func(tx *sql.Tx) error {
		if err := accounts.LockOwner(ctx, tx, caller.Principal, st.db.Now()); err != nil {
			return err
		}
		old, err := ownConnection(ctx, tx, caller.Principal, server)
		if err != nil {
			return err
		}
		if old.ID != "" && req.IfKeyID != nil && *req.IfKeyID != old.KeyID {
			return errMoved
		}
		if created = old.ID == ""; created {
			out, err = st.insertConnection(ctx, tx, caller.Principal, newConnection{server: server, name: name, visibility: Private}, in)
		} else {
			out, err = st.replaceKey(ctx, tx, caller.Principal, old, old.Server, in)
		}
		if err == nil {
			err = errors.Join(st.planRotation(ctx, tx, &out), keepLinkKey(ctx, tx, out, in.link, st.db.Now()))
		}
		if err != nil {
			return err
		}
		action := "connection.register"
		if !created {
			action = "connection.replace_key"
		}
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: action, Target: "connection:" + out.ID,
			Details: map[string]string{"server_url": string(server), "key_id": in.keyID(), "method": in.method}})
	})
	if err != nil {
		return none, false, err
	}
	answer := out.API(caller.Principal)
	if created {
		answer.Revision = out.revision()
	}
	return answer, created, nil
}

// ownConnection finds the member's own connection to a server, under any loopback name; its ID is empty if there is none.
func ownConnection(ctx context.Context, tx *sql.Tx, p accounts.Principal, server bridge.ServerURL) (Connection, error) {
	rows, err := tx.QueryContext(ctx, "SELECT "+connectionColumns+fromConnections+
		"WHERE c.org_id = $1 AND c.owner_id = $2 ORDER BY c.id", p.OrgID, p.UserID)
	all, err := sqldb.Collect(rows, err, scanConnection)
	if err != nil {
		return Connection{}, fmt.Errorf("look up a connection: %w", err)
	}
	if i := slices.IndexFunc(all, func(c Connection) bool { return c.Server.Same(server) }); i >= 0 {
		return all[i], nil
	}
	return Connection{}, nil
}

// newConnection is a connection to be made.
type newConnection struct {
	server     bridge.ServerURL
	name       string
	visibility string
	joined     string // see [Connection.Joined]
	tags       string
}

func (st *Store) insertConnection(ctx context.Context, tx *sql.Tx, p accounts.Principal, n newConnection, in incoming) (Connection, error) {
	id, err := schema.NewID()
	if err != nil {
		return Connection{}, err
	}
	c := Connection{ID: id, OrgID: p.OrgID, OwnerID: p.UserID, Owner: p.Email, Server: n.server, method: in.method, Joined: n.joined, tags: n.tags,
		environment: cmp.Or(p.Environment, bridge.EnvironmentLive), visibility: n.visibility, Ace: in.ace, KeyID: in.keyID(), status: StatusUnknown, cause: NotChecked,
		created: st.db.Now().Unix(), Number: 1, ActAs: in.actsAs()}
	if in.ace && in.method == MethodExchange {
		c.Expires = st.db.Now().Add(bridge.DefaultKeyLife).Unix()
	}
	if c.Secret, err = st.vault.Seal(c.KeyRow(), in.secret); err != nil {
		return Connection{}, err
	}
	const tries = 50
	for i := range tries {
		c.Name = n.name
		if i > 0 {
			c.Name = n.name + "-" + strconv.Itoa(i+1)
		}
		inserted, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO connections
			(id, org_id, owner_id, name, server_url, method, visibility, ceiling, ace, key_id, secret, status, cause, hint,
			 probed_at, last_seen_at, last_used_at, expires_at, created_at, environment, act_as, server_id, tags)
			VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8, $9, $10, $11, $12, '', 0, 0, 0, $13, $14, $15, $16, $17, $18)
			ON CONFLICT (org_id, owner_id, name) DO NOTHING`,
			c.ID, c.OrgID, c.OwnerID, c.Name, string(c.Server), c.method, c.visibility, c.Ace, c.KeyID, c.Secret, c.status,
			c.cause, c.Expires, c.created, c.environment, c.ActAs, c.Joined, c.tags))
		if err != nil {
			return Connection{}, fmt.Errorf("store a connection: %w", err)
		}
		if inserted {
			return c, st.feed.appeared(ctx, tx, c)
		}
	}
	return Connection{}, bridge.E(bridge.Conflict, bridge.CodeNameTaken, "there are too many connections of the name %q", n.name)
}

// revokeReplaced revokes a key that another one replaces. If both are of the same connect, the server moves the old key's
// personal keys to the new one at its first use, so the revocation waits for that, or until the new key has lapsed.
func (st *Store) revokeReplaced(ctx context.Context, tx *sql.Tx, p accounts.Principal, c Connection, in incoming) error {
	after := DueAtOnce
	if in.method == MethodExchange {
		after = bridge.UnconfirmedLife
	}
	due, err := st.queueRevocation(ctx, tx, p, c, "replaced by a new connect", after)
	if err != nil || due == nil || in.method != MethodExchange {
		return err
	}
	if err := RevokeAfter(ctx, tx, due.ID, in.keyID()); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE handed_tokens SET server_key_id = $1 WHERE connection_id = $2 AND (makes_keys OR made_keys)", in.keyID(), c.ID); err != nil {
		return fmt.Errorf("keep who may have personal keys: %w", err)
	}
	return nil
}

// replaceKey stores another key of the connection's server, which goes by that URL now.
func (st *Store) replaceKey(ctx context.Context, tx *sql.Tx, p accounts.Principal, c Connection, server bridge.ServerURL, in incoming) (Connection, error) {
	if c.KeyID != "" && c.KeyID != in.keyID() {
		if err := st.revokeReplaced(ctx, tx, p, c, in); err != nil {
			return Connection{}, err
		}
	}
	var err error
	replaced, was := c.Secret, c.Server
	c.Server = server
	if c.Secret, err = st.vault.Seal(c.KeyRow(), in.secret); err != nil {
		return Connection{}, err
	}
	c.Ace, c.KeyID, c.method, c.ActAs, c.KeySubject = in.ace, in.keyID(), in.method, in.actsAs(), ""
	c.status, c.cause, c.causeCode, c.hint, c.Expires, c.latency = StatusUnknown, NotChecked, "", "", 0, 0
	if in.method == MethodExchange {
		c.Expires = st.db.Now().Add(bridge.DefaultKeyLife).Unix()
	}
	changed, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE connections SET secret = $1, ace = $2, key_id = $3, method = $4,
		status = $5, cause = $6, cause_code = '', hint = '', expires_at = $7, probed_at = 0, latency_ms = 0, act_as = $11, key_subject = '',
		server_url = $12 WHERE id = $8 AND server_url = $9 AND secret = $10`,
		c.Secret, c.Ace, c.KeyID, c.method, c.status, c.cause, c.Expires, c.ID, string(was), replaced, c.ActAs, string(c.Server)))
	if err != nil {
		return Connection{}, fmt.Errorf("replace a key: %w", err)
	}
	if !changed {
		return Connection{}, errChanged
	}
	return c, st.feed.changed(ctx, tx, c.OrgID, c.ID, change{})
}

// Unprobed lists connections that have not been probed since a time, the longest first.
func (st *Store) Unprobed(ctx context.Context, since time.Time, limit int) ([]Connection, error) {
	rows, err := st.db.QueryContext(ctx, "SELECT "+connectionColumns+fromConnections+
		"WHERE c.probed_at < $1 ORDER BY c.probed_at, c.id LIMIT $2", since.Unix(), limit)
	return sqldb.Collect(rows, err, scanConnection)
}

// FindAny reads a connection, without asking who may see it; [sql.ErrNoRows] says that there is none.
func FindAny(ctx context.Context, q schema.Queryer, id string) (Connection, error) {
	return scanConnection(q.QueryRowContext(ctx, "SELECT "+connectionColumns+fromConnections+"WHERE c.id = $1", id))
}
