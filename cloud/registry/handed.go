package registry

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
)

// handed are the access tokens of a connection that somebody holds, of the same terms: as long as the terms are these, the
// tokens may live until they expire.
type handed struct {
	who        Principal
	connection string // ID
	terms      string
	until      int64 // the last was issued then, unix seconds
}

// terms are what an access token's rights follow from, besides its connection.
func terms(p Principal, b bounds) string {
	return strings.Join([]string{string(p.Role), b.ceiling, b.own.access, b.own.ceiling, b.maker.access, b.maker.ceiling}, "\n")
}

// noteHanded keeps that a token is about to be handed out.
func noteHanded(ctx context.Context, tx *sql.Tx, p Principal, connection string, b bounds, now time.Time) error {
	manage := p.Kind != "" && p.Can("connection:manage")
	_, err := tx.ExecContext(ctx, `INSERT INTO handed_tokens (connection_id, user_id, terms, org_id, subject, role, kind, manage,
		environment, maker_id, issued_at, expires_at, withdrawn_at, next_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 0)
		ON CONFLICT (connection_id, user_id, terms) DO UPDATE SET issued_at = excluded.issued_at, expires_at = excluded.expires_at,
		manage = excluded.manage, next_at = 0`,
		connection, p.UserID, terms(p, b), p.OrgID, p.Email, string(p.Role), string(p.Kind), manage, p.environment, p.makerID,
		now.Unix(), now.Add(bridge.MaxAccessTokenLife).Unix())
	if err != nil {
		return fmt.Errorf("keep that a token is handed out: %w", err)
	}
	return nil
}

// Withdrawal is a statement to deliver to a server: from whom the access tokens of its key are withdrawn.
type Withdrawal struct {
	Connection string
	Server     bridge.ServerURL
	KeyID      string
	Statement  bridge.Secret // see [bridge.Withdrawal]
	of         []handed
}

const (
	handedBatch = 1000
	// withdrawAgain is when a statement that was not delivered is made again.
	withdrawAgain = 15 * time.Second
)

// DueWithdrawals finds the access tokens whose holders are not entitled to them any more, or to less: after a connection was
// unshared, a limit set, a role changed, a member removed. What is returned is to be delivered now; another call does not
// return it for a while, unless [Registry.Withdrawn] says that it was delivered, which is for good.
//
// A session that has ended does not concern its tokens: whoever signs out is entitled to the connection as before.
func (r *Registry) DueWithdrawals(ctx context.Context) ([]Withdrawal, error) {
	now := r.cfg.Now().Unix()
	held, err := r.heldTokens(ctx, now)
	if err != nil || len(held) == 0 {
		return nil, err
	}
	entitled := make([]bool, len(held))
	err = r.stillOpen(ctx, len(held), func(i int) (Principal, string) { return held[i].who, held[i].connection }, func(i int, c connection) {
		entitled[i] = terms(held[i].who, c.bounds(held[i].who)) == held[i].terms
	})
	if err != nil {
		return nil, fmt.Errorf("check who holds tokens: %w", err)
	}
	var out []Withdrawal
	for i, h := range held {
		if entitled[i] {
			continue
		}
		claimed, err := sqldb.Changed(r.db.ExecContext(ctx, `UPDATE handed_tokens SET next_at = $1 WHERE connection_id = $2 AND user_id = $3
			AND terms = $4 AND issued_at = $5 AND next_at <= $6`, now+int64(withdrawAgain/time.Second), h.connection, h.who.UserID, h.terms, h.until, now))
		if err != nil {
			return nil, fmt.Errorf("withdraw tokens: %w", err)
		}
		last := len(out) - 1
		switch {
		case !claimed:
		case last >= 0 && out[last].Connection == h.connection && len(out[last].of) < bridge.MaxWithdrawals:
			out[last].of = append(out[last].of, h)
		default:
			out = append(out, Withdrawal{Connection: h.connection, of: []handed{h}})
		}
	}
	return r.stated(ctx, out)
}

// heldTokens are the tokens that may be in use, by connection.
func (r *Registry) heldTokens(ctx context.Context, now int64) ([]handed, error) {
	rows, err := r.db.QueryContext(ctx, `SELECT connection_id, user_id, terms, org_id, subject, role, kind, manage, environment, maker_id, issued_at
		FROM handed_tokens WHERE expires_at > $1 AND withdrawn_at < issued_at AND next_at <= $1 ORDER BY expires_at LIMIT $2`, now, handedBatch)
	var out []handed
	err = eachRow(rows, err, func(s scanner) error {
		var h handed
		var manage bool
		err := s.Scan(&h.connection, &h.who.UserID, &h.terms, &h.who.OrgID, &h.who.Email, &h.who.Role, &h.who.Kind, &manage,
			&h.who.environment, &h.who.makerID, &h.until)
		if manage {
			h.who.granted = bridge.Scopes{"connection:manage"}
		}
		out = append(out, h)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list who holds tokens: %w", err)
	}
	slices.SortStableFunc(out, func(a, b handed) int { return cmp.Compare(a.connection, b.connection) })
	return out, nil
}

// stated signs the statements. A connection that is gone, or has another key now, has none to make: its key's revocation is
// under way.
func (r *Registry) stated(ctx context.Context, all []Withdrawal) ([]Withdrawal, error) {
	var out []Withdrawal
	for _, w := range all {
		c, err := scanConnection(r.db.QueryRowContext(ctx, "SELECT "+connectionColumns+fromConnections+"WHERE c.id = $1", w.Connection))
		if errors.Is(err, sql.ErrNoRows) || err == nil && (!c.ace || c.secret == "") {
			if err := r.Withdrawn(ctx, w); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look up a connection: %w", err)
		}
		secret, err := r.cfg.Vault.Open(c.row(), c.secret)
		if err != nil {
			r.log.Warn("a connection's key cannot be decrypted", "connection", c.id)
			continue
		}
		key, err := bridge.ParseKey(secret)
		if err != nil {
			r.log.Warn("a connection's key is damaged", "connection", c.id)
			continue
		}
		until := map[string]int64{}
		for _, h := range w.of {
			until[h.who.Email] = max(until[h.who.Email], h.until)
		}
		w.Server, w.KeyID = c.server, c.keyID
		if w.Statement, err = key.SignWithdrawal(until, r.cfg.Now()); err != nil {
			return nil, fmt.Errorf("sign a withdrawal: %w", err)
		}
		out = append(out, w)
	}
	return out, nil
}

// Withdrawn notes that a server has taken a withdrawal.
func (r *Registry) Withdrawn(ctx context.Context, w Withdrawal) error {
	return r.db.Tx(ctx, func(tx *sql.Tx) error {
		for _, h := range w.of {
			if _, err := tx.ExecContext(ctx, `UPDATE handed_tokens SET withdrawn_at = $1 WHERE connection_id = $2 AND user_id = $3 AND terms = $4
				AND withdrawn_at < $1`, h.until, h.connection, h.who.UserID, h.terms); err != nil {
				return fmt.Errorf("note a withdrawal: %w", err)
			}
		}
		return nil
	})
}
