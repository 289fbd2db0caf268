package tokens

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
	"github.com/acebridge/ace/cloud/connections"
)

// AccessTerms are what the relay calls a server with on a member's behalf. The credential is for that server alone; for a server
// that knows only plain API keys it is the stored key itself, even where the member may not see it.
type AccessTerms struct {
	Principal  accounts.Principal
	Connection string // ID
	Server     bridge.ServerURL
	Credential api.Credential

	keyID, secret string // as they were stored
	bounds        connections.Bounds
}

const (
	relayNoted = 24 * time.Hour // how often a member's use of the relay to a server is audited
	useNoted   = time.Minute    // how exact a connection's last use is
)

// Relay returns the terms on which a member may use a connection through the relay. An ace server audits the member call by
// call; here each member and server is audited once a day.
func (st *Tokens) Relay(ctx context.Context, caller accounts.Caller, id string) (AccessTerms, error) {
	if err := caller.RequireScope("connection:use"); err != nil {
		return AccessTerms{}, err
	}
	c, err := st.store.Find(ctx, st.db, caller.Principal, id)
	if err != nil {
		return AccessTerms{}, err
	}
	allowed := c.Bounds(caller.Principal)
	if c, err = c.Use(caller.Principal); err != nil {
		return AccessTerms{}, err
	}
	now := st.db.Now()
	if c, now, err = st.noteRelayed(ctx, caller.Principal, c, allowed, now); err != nil {
		return AccessTerms{}, err
	}
	subject, err := c.SpeaksFor(caller.Principal)
	if err != nil {
		return AccessTerms{}, err
	}
	credential, err := st.sign(c, speaker{subject, caller.Role, false}, now)
	if err != nil {
		return AccessTerms{}, err
	}
	if err := st.noteRelay(ctx, caller, c, now); err != nil {
		return AccessTerms{}, err
	}
	return AccessTerms{Principal: caller.Principal, Connection: c.ID, Server: c.Server, Credential: credential, keyID: c.KeyID, secret: c.Secret, bounds: allowed}, nil
}

// noteRelayed notes a token that may make personal keys before the relay uses it; see [noteHanded]. It returns the connection as it
// was read when the token was noted.
func (st *Tokens) noteRelayed(ctx context.Context, p accounts.Principal, c connections.Connection, allowed connections.Bounds, now time.Time) (connections.Connection, time.Time, error) {
	if !c.Ace {
		return c, now, nil
	}
	if done, err := st.noted(ctx, p, c, connections.Terms(p, allowed)); done || err != nil {
		return c, now, err
	}
	err := st.db.Tx(ctx, func(tx *sql.Tx) error {
		fresh, err := st.store.Find(ctx, tx, p, c.ID)
		if err != nil {
			return err
		}
		as := handed{terms: connections.Terms(p, fresh.Bounds(p))}
		if c, err = fresh.Use(p); err != nil || !c.Ace {
			return err
		}
		if as.subject, err = c.SpeaksFor(p); err != nil {
			return err
		}
		now, err = noteHanded(ctx, tx, p, c, as, now)
		return err
	})
	return c, now, err
}

// noteRelay notes the use of a connection, and audits each member's first use in a day.
func (st *Tokens) noteRelay(ctx context.Context, caller accounts.Caller, c connections.Connection, now time.Time) error {
	var noted int64
	err := st.db.QueryRowContext(ctx, "SELECT noted_at FROM relay_uses WHERE connection_id = $1 AND user_id = $2", c.ID, caller.UserID).Scan(&noted)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("note a use of the relay: %w", err)
	}
	due := now.Add(-relayNoted).Unix()
	if noted > due && c.UsedAt > now.Add(-useNoted).Unix() {
		return nil
	}
	err = st.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE connections SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1",
			now.Unix(), c.ID); err != nil {
			return fmt.Errorf("note a use of the relay: %w", err)
		}
		first, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO relay_uses (connection_id, user_id, noted_at) VALUES ($1, $2, $3)
			ON CONFLICT (connection_id, user_id) DO UPDATE SET noted_at = excluded.noted_at WHERE relay_uses.noted_at <= $4`,
			c.ID, caller.UserID, now.Unix(), due))
		if err != nil {
			return fmt.Errorf("note a use of the relay: %w", err)
		}
		if !first {
			return nil
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: caller.Actor, Action: "connection.relay", Target: "connection:" + c.ID,
			Details: map[string]string{"name": c.Name, "server_url": string(c.Server)}})
	})
	if noted > due && sqldb.IsFault(err) { // the audit log has today's use: only the time of the last one is not stored
		return nil
	}
	return err
}

// Hold says whether access terms still hold.
type Hold int

// The states of access terms.
const (
	HoldsNot Hold = iota
	// HoldsOld means that the key has a new secret: open calls go on, and new ones need new terms.
	HoldsOld
	Holds
)

// RelayStill reports which access terms still hold: the session or membership lives on with the same role, the member sees the
// connection, and it has the same server and key and allows the same. One statement asks for many, since the relay asks for all
// open calls several times a second. The key authority knows whether an API key of the cloud is alive.
func (st *Tokens) RelayStill(ctx context.Context, all []AccessTerms) ([]Hold, error) {
	still, ask := make([]Hold, len(all)), make([]connections.Ask, len(all))
	for i, t := range all {
		ask[i] = connections.Ask{Principal: t.Principal, Connection: t.Connection}
	}
	err := st.store.Usable(ctx, ask, func(i int, c connections.Connection) {
		if t := all[i]; t.Server == c.Server && t.bounds == c.Bounds(t.Principal) {
			still[i] = t.hold(c.KeyID, c.Secret)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("check open relays: %w", err)
	}
	return still, nil
}

// hold compares keys. A rotation gives the key of an ace server a new secret and the same ID.
func (t AccessTerms) hold(keyID, secret string) Hold {
	switch {
	case t.secret == secret:
		return Holds
	case t.keyID != "" && t.keyID == keyID && secret != "":
		return HoldsOld
	}
	return HoldsNot
}
