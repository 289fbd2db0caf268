package connections

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// Patch renames, shares, unshares or moves a connection, or gives it another ceiling. Moving it to another URL erases its
// credential: a key is for the server that issued it, and must never be sent to one that somebody typed in later.
func (st *Store) Patch(ctx context.Context, caller accounts.Caller, id string, patch api.ConnectionPatch) (api.Connection, error) {
	var out Connection
	err := st.feed.changeTx(ctx, func(tx *sql.Tx) (err error) {
		if caller.Principal, err = accounts.Standing(ctx, tx, caller.Principal); err == nil {
			out, err = st.PatchIn(ctx, tx, caller, id, patch)
		}
		return err
	})
	if err != nil {
		return api.Connection{}, err
	}
	return out.API(caller.Principal), nil
}

// PatchIn is [Store.Patch] with the principal's rights as they are in the transaction.
func (st *Store) PatchIn(ctx context.Context, tx *sql.Tx, caller accounts.Caller, id string, patch api.ConnectionPatch) (Connection, error) {
	c, err := st.Find(ctx, tx, caller.Principal, id)
	if err != nil {
		return c, err
	}
	if err := c.requireUsable(); err != nil {
		return c, err
	}
	before := c
	if patch.Visibility != nil {
		if err := c.setVisibility(caller.Principal, *patch.Visibility); err != nil {
			return c, err
		}
	}
	if patch.Name != nil {
		if err := c.requireOwner(caller.Principal); err != nil {
			return c, err
		}
		var plain bool
		if c.Name, plain = bridge.PlainName(*patch.Name, schema.MaxName); !plain {
			return c, accounts.ErrName
		}
	}
	if patch.ServerURL != nil || patch.APIKey != nil {
		if err := st.move(ctx, tx, caller.Principal, &c, patch); err != nil {
			return c, err
		}
	}
	if patch.Ceiling.Given {
		if err := c.setCeiling(caller.Principal, patch.Ceiling.To); err != nil {
			return c, err
		}
	}
	if c == before {
		return c, nil
	}
	if err := updateConnection(ctx, tx, before, c); err != nil {
		return c, err
	}
	if c.Secret != before.Secret {
		if err := errors.Join(st.planRotation(ctx, tx, &c), keepLinkKey(ctx, tx, c, "", st.db.Now())); err != nil {
			return c, err
		}
	}
	lost := before.visibility == Organization && c.visibility != Organization
	if err := st.feed.changed(ctx, tx, c.OrgID, c.ID, change{lost: lost}); err != nil {
		return c, err
	}
	return c, auditChanges(ctx, tx, st, caller.Actor, before, c)
}

func (c *Connection) setVisibility(p accounts.Principal, to string) error {
	if to != Private && to != Organization {
		return bridge.E(bridge.Invalid, bridge.CodeVisibilityUnknown, "the visibility is private or organization")
	}
	if c.visibility == to {
		return nil
	}
	if err := p.RequireShare(); err != nil {
		return err
	}
	if to == Organization && !c.ActAs {
		return c.errCannotActAs()
	}
	c.visibility = to
	return nil
}

// move gives the connection another URL, another key, or both.
func (st *Store) move(ctx context.Context, tx *sql.Tx, p accounts.Principal, c *Connection, patch api.ConnectionPatch) error {
	if err := c.requireOwner(p); err != nil {
		return err
	}
	server := c.Server
	if patch.ServerURL != nil {
		var err error
		if server, err = bridge.CanonicalURL(strings.TrimSpace(*patch.ServerURL)); err != nil {
			return err
		}
	}
	if c.Joined != "" || server.LinkOnly() {
		return errLinkURL
	}
	if server == c.Server && patch.APIKey == nil {
		return nil
	}
	if _, err := st.queueRevocation(ctx, tx, p, *c, "the connection was given another URL or key", DueAtOnce); err != nil {
		return err
	}
	c.Server, c.Secret, c.KeyID, c.Ace, c.method, c.Expires, c.ActAs, c.KeySubject = server, "", "", false, MethodManual, 0, true, ""
	c.preset, c.latency, c.causeCode = "", 0, "" // the preset was the old server's; its scopes stay
	c.status, c.cause = StatusUnauthorized, "the URL was changed, which erased the key"
	c.hint = "ace connect --server " + string(server)
	if patch.APIKey == nil {
		return nil
	}
	in, err := st.open(p, server, "", patch.APIKey)
	if err != nil {
		return err
	}
	c.Ace, c.KeyID, c.status, c.cause, c.hint, c.ActAs = in.ace, in.keyID(), StatusUnknown, NotChecked, "", in.actsAs()
	c.Secret, err = st.vault.Seal(c.KeyRow(), in.secret)
	return err
}

// errChanged refuses a write to a row that has changed since it was read: its key could be lost without being revoked.
var errChanged = bridge.E(bridge.Conflict, bridge.CodeChangedMeanwhile,
	"somebody else has changed the connection at the same time").
	WithHint("try again")

// updateConnection writes a changed row, provided that it is still as it was read.
func updateConnection(ctx context.Context, tx *sql.Tx, before, c Connection) error {
	changed, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE connections SET name = $1, visibility = $2, server_url = $3,
		secret = $4, key_id = $5, ace = $6, method = $7, status = $8, cause = $9, hint = $10, expires_at = $11,
		ceiling = $12, ceiling_preset = $13, presets = CASE WHEN server_url = $3 THEN presets ELSE '' END, latency_ms = $20, act_as = $21, key_subject = $22,
		cause_code = $23
		WHERE id = $14 AND visibility = $15 AND server_url = $16 AND secret = $17 AND ceiling = $18 AND ceiling_preset = $19`,
		c.Name, c.visibility, string(c.Server), c.Secret, c.KeyID, c.Ace, c.method, c.status, c.cause, c.hint, c.Expires,
		c.ceiling, c.preset, c.ID, before.visibility, string(before.Server), before.Secret, before.ceiling, before.preset,
		c.latency, c.ActAs, c.KeySubject, string(c.causeCode)))
	if sqldb.IsUnique(err) {
		return bridge.E(bridge.Conflict, bridge.CodeNameTaken, "you have a connection of the name %q already", c.Name)
	}
	if err != nil {
		return fmt.Errorf("change a connection: %w", err)
	}
	if !changed {
		return errChanged
	}
	return nil
}

// auditChanges writes the changes to the audit log; a new ceiling has an entry of its own.
func auditChanges(ctx context.Context, tx *sql.Tx, r *Store, actor audit.Actor, before, c Connection) error {
	was, is := before.ceilingText(), c.ceilingText()
	if was != is {
		if err := audit.Write(ctx, tx, r.db.Now(), audit.Entry{Actor: actor, Action: "connection.ceiling", Target: "connection:" + c.ID,
			Details: map[string]string{"name": c.Name, "before": was, "after": is}}); err != nil {
			return err
		}
		if before.ceiling, before.preset = c.ceiling, c.preset; before == c {
			return nil
		}
	}
	action := "connection.change"
	switch {
	case before.visibility != c.visibility && c.visibility == Organization:
		action = "connection.share"
	case before.visibility != c.visibility:
		action = "connection.unshare"
	case before.Server != c.Server:
		action = "connection.move"
	case before.Name != c.Name:
		action = "connection.rename"
	}
	return audit.Write(ctx, tx, r.db.Now(), audit.Entry{Actor: actor, Action: action, Target: "connection:" + c.ID,
		Details: map[string]string{"name": c.Name, "server_url": string(c.Server)}})
}

// Delete removes a connection. The key's last act is to sign its own revocation, which the cloud keeps and delivers;
// the key itself is gone with the row.
func (st *Store) Delete(ctx context.Context, caller accounts.Caller, id string) (api.Removed, error) {
	return st.DeleteIf(ctx, caller, id, AsItWas{})
}

// AsItWas is a condition on a connection; empty fields demand nothing.
type AsItWas struct {
	KeyID    string
	Revision string // of [api.Connection]
}

func (was AsItWas) holds(c Connection) bool {
	return (was.KeyID == "" || was.KeyID == c.KeyID) && (was.Revision == "" || was.Revision == c.revision())
}

var errMoved = bridge.E(bridge.Conflict, bridge.CodeConnectionMoved,
	"another connect has registered this connection meanwhile, or uses it").
	WithHint("ace connections list")

// revision identifies the sealed secret of a row; it changes every time the secret is sealed.
func (c Connection) revision() string {
	sum := sha256.Sum256([]byte(c.Secret))
	return hex.EncodeToString(sum[:12])
}

// Keep gives the principal's own connection a new revision, by sealing its secret again. Another connect uses it now, so the one
// that registered it can no longer take it back.
func (st *Store) Keep(ctx context.Context, p accounts.Principal, id string) error {
	return st.feed.changeTx(ctx, func(tx *sql.Tx) error {
		c, err := st.Find(ctx, tx, p, id)
		if err != nil || c.Secret == "" || c.OwnerID != p.UserID {
			return err
		}
		secret, err := st.vault.Open(c.KeyRow(), c.Secret)
		if err != nil {
			return err
		}
		again, err := st.vault.Seal(c.KeyRow(), secret)
		if err != nil {
			return err
		}
		kept, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE connections SET secret = $1 WHERE id = $2 AND secret = $3", again, c.ID, c.Secret))
		if err != nil {
			return fmt.Errorf("keep a connection: %w", err)
		}
		if !kept {
			return errMoved
		}
		return nil
	})
}

// DeleteIf is [Store.Delete], provided that the connection is still as it was.
func (st *Store) DeleteIf(ctx context.Context, caller accounts.Caller, id string, was AsItWas) (api.Removed, error) {
	var out api.Removed
	err := st.feed.changeTx(ctx, func(tx *sql.Tx) (err error) {
		out, err = st.DeleteIn(ctx, tx, caller, id, was)
		return err
	})
	return out, err
}

// DeleteIn is [Store.DeleteIf] within a transaction.
func (st *Store) DeleteIn(ctx context.Context, tx *sql.Tx, caller accounts.Caller, id string, was AsItWas) (out api.Removed, err error) {
	c, err := st.Find(ctx, tx, caller.Principal, id)
	if err != nil {
		return out, err
	}
	if err := c.requireOwner(caller.Principal); err != nil {
		return out, err
	}
	if !was.holds(c) {
		return out, errMoved
	}
	return st.remove(ctx, tx, caller, c, ending{action: "connection.delete", reason: "disconnected by " + caller.Email, after: firstDelivery})
}

// ending says how a connection is removed.
type ending struct {
	action string        // for the audit log
	reason string        // for the server
	after  time.Duration // when the cloud delivers the revocation of its key
}

// remove deletes a connection as it was read, and queues the revocation of its key.
func (st *Store) remove(ctx context.Context, tx *sql.Tx, caller accounts.Caller, c Connection, e ending) (out api.Removed, err error) {
	out = api.Removed{Connection: c.API(caller.Principal)}
	if out.Revocation, err = st.queueRevocation(ctx, tx, caller.Principal, c, e.reason, e.after); err != nil {
		return out, err
	}
	gone, err := sqldb.Changed(tx.ExecContext(ctx, "DELETE FROM connections WHERE id = $1 AND secret = $2", c.ID, c.Secret))
	if err != nil {
		return out, fmt.Errorf("delete a connection: %w", err)
	}
	if !gone {
		return out, errChanged
	}
	if err := st.feed.changed(ctx, tx, c.OrgID, c.ID, change{lost: c.visibility == Organization, gone: true}); err != nil {
		return out, err
	}
	return out, audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: e.action,
		Target: "connection:" + c.ID, Details: map[string]string{"name": c.Name, "server_url": string(c.Server)}})
}
