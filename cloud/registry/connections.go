package registry

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
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

	NotChecked = "not checked yet" // the cause of a new one's being unknown
)

// connection is a row, with its encrypted secret.
type connection struct {
	id, orgID, ownerID, owner, name  string
	environment                      string
	server                           bridge.ServerURL
	method, visibility, ceiling      string
	preset                           string // of the server, which the ceiling's scopes come from
	own, maker                       limit  // see [bounds]
	parents                          [maxParents]limit
	ace                              bool
	keyID, secret                    string
	status, cause, hint              string
	latency                          int64 // of the last probe, milliseconds; 0: unknown
	seenAt, usedAt, expires, created int64
	rotation                         rotation
	number                           int64  // of the last statement about the key
	actAs                            bool   // access tokens may name other subjects than the key's own
	keySubject                       string // the key's own, where actAs is false; empty: not known yet
	orphaned                         bool   // see [orphaned]
	generation                       int64  // the highest change number that the server of this key has told
}

func (c connection) row() RowIdentity {
	return RowIdentity{Org: c.orgID, Connection: c.id, Server: c.server}
}

const connectionColumns = `c.id, c.org_id, c.owner_id, u.email, c.name, c.server_url, c.method, c.visibility, c.ceiling,
	c.ceiling_preset, c.ace, c.key_id, c.secret, c.status, c.cause, c.hint, c.last_seen_at, c.last_used_at, c.expires_at, c.created_at,
	c.latency_ms, c.rotate_failed_at, c.rotate_cause, c.rotate_hint, c.statement_number, c.act_as, c.key_subject,
	CASE WHEN c.generation_key = c.key_id THEN c.server_generation ELSE 0 END, c.environment, ` + orphaned

const fromConnections = " FROM connections c JOIN users u ON u.id = c.owner_id "

func scanConnection(s scanner) (connection, error) {
	var c connection
	err := s.Scan(&c.id, &c.orgID, &c.ownerID, &c.owner, &c.name, &c.server, &c.method, &c.visibility, &c.ceiling, &c.preset,
		&c.ace, &c.keyID, &c.secret, &c.status, &c.cause, &c.hint, &c.seenAt, &c.usedAt, &c.expires, &c.created,
		&c.latency, &c.rotation.failedAt, &c.rotation.cause, &c.rotation.hint, &c.number, &c.actAs, &c.keySubject, &c.generation, &c.environment, &c.orphaned)
	return c, err
}

func (c connection) api(p Principal) api.Connection {
	out := api.Connection{
		ID: c.id, Name: c.name, ServerURL: c.server, Owner: c.owner, Visibility: c.visibility, Method: c.method,
		Mine: c.ownerID == p.UserID, Status: c.status, Cause: c.cause, Hint: c.hint, KeyID: c.keyID,
		OwnerGone: c.orphaned, ExpiresAt: at(c.expires), LastSeenAt: at(c.seenAt), LastUsedAt: at(c.usedAt), CreatedAt: time.Unix(c.created, 0).UTC(),
	}
	out.LatencyMS = measured(c.latency)
	out.Rotation = c.rotation.api(c, p)
	if c.ceiling != "" {
		out.CeilingPreset, out.Ceiling = c.preset, strings.Fields(c.ceiling)
	}
	var allowed bridge.Scopes
	if out.Access, allowed = c.bounds(p).access(); out.Access == AccessLimited {
		out.Allowed = allowed.Strings()
	}
	out.OwnerOnly = !c.actAs
	if c.requireUsable() != nil || !c.actAs && c.ownerID != p.UserID {
		out.Access, out.Allowed = AccessNone, nil
	}
	return out
}

// Connections lists what a member sees, oldest first.
func (r *Registry) Connections(ctx context.Context, p Principal, cursor string, limit int) ([]api.Connection, string, error) {
	return r.SearchConnections(ctx, p, Search{}, cursor, limit)
}

var errConnection = bridge.E(bridge.NotFound, "connection_unknown", "there is no such connection").
	WithHint("ace connections list")

func (r *Registry) find(ctx context.Context, q querier, p Principal, id string) (connection, error) {
	args := []any{id}
	c, err := scanSeen(q.QueryRowContext(ctx, callerRows(&args, callerRow{Principal: p})+selectSeen+"c.id = $1", args...)) //nolint:gosec // numbers of parameters
	if errors.Is(err, sql.ErrNoRows) || err == nil && !c.seenBy(p) {
		return connection{}, errConnection
	}
	if err != nil {
		return connection{}, fmt.Errorf("look up a connection: %w", err)
	}
	return c, nil
}

// Connection returns one that the member sees.
func (r *Registry) Connection(ctx context.Context, p Principal, id string) (api.Connection, error) {
	c, err := r.find(ctx, r.db, p, id)
	if err != nil {
		return api.Connection{}, err
	}
	return c.api(p), nil
}

// ConnectedSince returns the principal's own connection that was made last, if that was not before since.
func (r *Registry) ConnectedSince(ctx context.Context, p Principal, since time.Time) ([]api.Connection, error) {
	args := []any{p.OrgID, p.UserID, since.Unix()}
	rows, err := r.db.QueryContext(ctx, callerRows(&args, callerRow{Principal: p})+selectSeen+"c.org_id = $1 AND c.owner_id = $2 AND"+visible+ //nolint:gosec // numbers of parameters
		"AND c.created_at >= $3 ORDER BY c.created_at DESC, c.id DESC LIMIT 1", args...)
	out, _, err := page(rows, err, 1, func(s scanner) (api.Connection, error) {
		c, err := scanSeen(s)
		return c.api(p), err
	}, func(c api.Connection) string { return c.ID })
	if err != nil {
		return nil, fmt.Errorf("look for a new connection: %w", err)
	}
	return out, nil
}

const maxPlainKey = 4 << 10

// incoming is a key that arrives, opened.
type incoming struct {
	secret bridge.Secret
	key    bridge.Key // set when it is one of an ace server
	ace    bool
	method string
}

func (in incoming) keyID() string {
	if !in.ace {
		return ""
	}
	return in.key.ID.String()
}

// actsAs reports whether access tokens of the key may name other subjects than its own, as far as that is known before its
// server is asked. A plain key signs none.
func (in incoming) actsAs() bool { return !in.ace || in.key.Kind == bridge.KindSK }

func (r *Registry) open(p Principal, server bridge.ServerURL, sealed string, plain *bridge.Disclosed) (incoming, error) {
	switch {
	case (sealed == "") == (plain == nil || plain.IsZero()):
		return incoming{}, bridge.E(bridge.Invalid, "key_missing", "give either a sealed key or an API key")
	case sealed != "":
		jti, err := bridge.SealedJTI(sealed)
		if err != nil {
			return incoming{}, err
		}
		key, err := r.cfg.Root.OpenSealed(sealed, bridge.SealBinding{Issuer: r.cfg.Issuer, Org: p.Org, Server: server,
			Subject: p.UserID, JTI: jti})
		if err != nil {
			return incoming{}, err
		}
		return incoming{secret: key.Text(), key: key, ace: true, method: MethodExchange}, nil
	}
	text, err := bridge.OutsideText(plain.Reveal())
	if err != nil || text == "" || !bridge.PlainText(text, maxPlainKey) {
		return incoming{}, bridge.E(bridge.Invalid, "key_malformed", "the API key is too long, has control characters, or is only white space")
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
// does not hold any more, are told to use that connection, and keep it (see [Registry.Keep]).
func (r *Registry) Register(ctx context.Context, caller Caller, req api.RegisterRequest) (api.Connection, bool, error) {
	var none api.Connection
	if err := caller.Need("connection:create"); err != nil {
		return none, false, err
	}
	server, err := bridge.CanonicalURL(strings.TrimSpace(req.ServerURL))
	if err != nil {
		return none, false, err
	}
	name, plain := bridge.PlainName(cmp.Or(req.Name, server.URL().Host), maxName)
	if !plain {
		return none, false, errName
	}
	in, err := r.open(caller.Principal, server, req.SealedKey, req.APIKey)
	if err != nil {
		return none, false, err
	}
	var out connection
	created := false
	err = r.changeTx(ctx, func(tx *sql.Tx) error {
		if err := lockOwner(ctx, tx, caller.Principal, r.cfg.Now()); err != nil {
			return err
		}
		old, err := r.own(ctx, tx, caller.Principal, server)
		if err != nil {
			return err
		}
		if old.id != "" && req.IfKeyID != nil && *req.IfKeyID != old.keyID {
			return errMoved
		}
		if created = old.id == ""; created {
			out, err = r.insertConnection(ctx, tx, caller.Principal, server, name, in)
		} else {
			out, err = r.replaceKey(ctx, tx, caller.Principal, old, in)
		}
		if err == nil {
			err = r.planRotation(ctx, tx, &out)
		}
		if err != nil {
			return err
		}
		action := "connection.register"
		if !created {
			action = "connection.replace_key"
		}
		return audit.Write(ctx, tx, r.cfg.Now(), audit.Entry{Actor: caller.Actor, Action: action, Target: "connection:" + out.id,
			Details: map[string]string{"server_url": string(server), "key_id": in.keyID(), "method": in.method}})
	})
	if err != nil {
		return none, false, err
	}
	answer := out.api(caller.Principal)
	if created {
		answer.Revision = out.revision()
	}
	return answer, created, nil
}

// own finds the member's own connection to a server, under whichever loopback name; its id is empty when there is none.
func (r *Registry) own(ctx context.Context, tx *sql.Tx, p Principal, server bridge.ServerURL) (connection, error) {
	rows, err := tx.QueryContext(ctx, "SELECT "+connectionColumns+fromConnections+
		"WHERE c.org_id = $1 AND c.owner_id = $2 ORDER BY c.id", p.OrgID, p.UserID)
	if err != nil {
		return connection{}, fmt.Errorf("look up a connection: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		c, err := scanConnection(rows)
		if err != nil {
			return connection{}, fmt.Errorf("look up a connection: %w", err)
		}
		if c.server.Same(server) {
			return c, nil
		}
	}
	return connection{}, rows.Err()
}

func (r *Registry) insertConnection(ctx context.Context, tx *sql.Tx, p Principal, server bridge.ServerURL, name string, in incoming) (connection, error) {
	id, err := newID()
	if err != nil {
		return connection{}, err
	}
	c := connection{id: id, orgID: p.OrgID, ownerID: p.UserID, owner: p.Email, server: server, method: in.method,
		environment: cmp.Or(p.environment, bridge.EnvironmentLive), visibility: Private, ace: in.ace, keyID: in.keyID(), status: StatusUnknown, cause: NotChecked,
		created: r.cfg.Now().Unix(), number: 1, actAs: in.actsAs()}
	if in.ace && in.method == MethodExchange {
		c.expires = r.cfg.Now().Add(bridge.DefaultKeyLife).Unix()
	}
	if c.secret, err = r.cfg.Vault.Seal(c.row(), in.secret); err != nil {
		return connection{}, err
	}
	const tries = 50
	for i := range tries {
		c.name = name
		if i > 0 {
			c.name = name + "-" + strconv.Itoa(i+1)
		}
		inserted, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO connections
			(id, org_id, owner_id, name, server_url, method, visibility, ceiling, ace, key_id, secret, status, cause, hint,
			 probed_at, last_seen_at, last_used_at, expires_at, created_at, environment, act_as)
			VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8, $9, $10, $11, $12, '', 0, 0, 0, $13, $14, $15, $16)
			ON CONFLICT (org_id, owner_id, name) DO NOTHING`,
			c.id, c.orgID, c.ownerID, c.name, string(c.server), c.method, c.visibility, c.ace, c.keyID, c.secret, c.status,
			c.cause, c.expires, c.created, c.environment, c.actAs))
		if err != nil {
			return connection{}, fmt.Errorf("store a connection: %w", err)
		}
		if inserted {
			return c, r.appeared(ctx, tx, c)
		}
	}
	return connection{}, bridge.E(bridge.Conflict, "name_taken", "there are too many connections of the name %q", name)
}

// revokeReplaced revokes the key that another one replaces. Where the new one is of the same connect, the server moves the
// personal keys of the old one to it at its first use, so that the revocation waits for that, or until the new key has lapsed.
func (r *Registry) revokeReplaced(ctx context.Context, tx *sql.Tx, p Principal, c connection, in incoming) error {
	after := dueAtOnce
	if in.method == MethodExchange {
		after = bridge.UnconfirmedLife
	}
	due, err := r.queueRevocation(ctx, tx, p, c, "replaced by a new connect", after)
	if err != nil || due == nil || in.method != MethodExchange {
		return err
	}
	if err := revokeAfter(ctx, tx, due.ID, in.keyID()); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE handed_tokens SET server_key_id = $1 WHERE connection_id = $2 AND (makes_keys OR made_keys)", in.keyID(), c.id); err != nil {
		return fmt.Errorf("keep who may have personal keys: %w", err)
	}
	return nil
}

// revokeAfter has a revocation wait for the key that replaces the one it is about; see [Registry.keyWorks].
func revokeAfter(ctx context.Context, tx *sql.Tx, revocation, key string) error {
	if _, err := tx.ExecContext(ctx, "UPDATE revocations SET after_key = $1 WHERE id = $2", key, revocation); err != nil {
		return fmt.Errorf("keep a revocation: %w", err)
	}
	return nil
}

func (r *Registry) replaceKey(ctx context.Context, tx *sql.Tx, p Principal, c connection, in incoming) (connection, error) {
	if c.keyID != "" && c.keyID != in.keyID() {
		if err := r.revokeReplaced(ctx, tx, p, c, in); err != nil {
			return connection{}, err
		}
	}
	var err error
	replaced := c.secret
	if c.secret, err = r.cfg.Vault.Seal(c.row(), in.secret); err != nil {
		return connection{}, err
	}
	c.ace, c.keyID, c.method, c.actAs, c.keySubject = in.ace, in.keyID(), in.method, in.actsAs(), ""
	c.status, c.cause, c.hint, c.expires, c.latency = StatusUnknown, NotChecked, "", 0, 0
	if in.method == MethodExchange {
		c.expires = r.cfg.Now().Add(bridge.DefaultKeyLife).Unix()
	}
	changed, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE connections SET secret = $1, ace = $2, key_id = $3, method = $4,
		status = $5, cause = $6, hint = '', expires_at = $7, probed_at = 0, latency_ms = 0, act_as = $11, key_subject = '' WHERE id = $8 AND server_url = $9 AND secret = $10`,
		c.secret, c.ace, c.keyID, c.method, c.status, c.cause, c.expires, c.id, string(c.server), replaced, c.actAs))
	if err != nil {
		return connection{}, fmt.Errorf("replace a key: %w", err)
	}
	if !changed {
		return connection{}, errChanged
	}
	return c, r.changed(ctx, tx, c.orgID, c.id, change{})
}
