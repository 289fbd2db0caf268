package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
)

// terms are what an access token's rights follow from, besides its connection: as long as they are these, the token may live
// until it expires. No scope, role or access has the separator in it.
func terms(p Principal, b bounds) string {
	return strings.Join([]string{p.Member, string(p.Role), b.ceiling, b.own.access, b.own.ceiling, b.maker.access, b.maker.ceiling}, "|")
}

// termsNow is the same of a row g, a connection c, and the exceptions l and k; see [withLimits].
const termsNow = `COALESCE((SELECT m.id FROM members m WHERE m.org_id = g.v1 AND m.user_id = g.v2), '') || '|' || CASE WHEN c.owner_id = g.v2 THEN g.its_role || '|||||' ELSE g.its_role || '|' || c.ceiling || '|' || COALESCE(l.access, '') || '|' ||
	COALESCE(l.ceiling, '') || '|' || COALESCE(k.access, '') || '|' || COALESCE(k.ceiling, '') END`

// noteHanded keeps that a token is about to be handed out.
func noteHanded(ctx context.Context, tx *sql.Tx, p Principal, c connection, b bounds, now time.Time) error {
	apiKey := ""
	if p.Kind != "" {
		apiKey = p.key.KeyID.String()
	}
	sees := p.sees() // organization, user, environment, whether they manage, and who made the key
	_, err := tx.ExecContext(ctx, `INSERT INTO handed_tokens (connection_id, api_key_id, terms, subject, role, server_key_id, issued_at,
		expires_at, org_id, user_id, environment, manage, maker_id, withdrawn_at, next_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, 0)
		ON CONFLICT (connection_id, user_id, api_key_id, terms) DO UPDATE SET issued_at = excluded.issued_at, expires_at = excluded.expires_at,
		server_key_id = excluded.server_key_id, manage = excluded.manage, next_at = 0`,
		append([]any{c.id, apiKey, terms(p, b), p.Email, string(p.Role), c.keyID, now.Unix(), now.Add(bridge.MaxAccessTokenLife).Unix()}, sees...)...)
	if err != nil {
		return fmt.Errorf("keep that a token is handed out: %w", err)
	}
	return nil
}

// handed are the access tokens of a connection that somebody holds, of the same terms.
type handed struct {
	userID, subject, apiKey, terms, serverKey string
	until                                     int64 // the last was issued then, unix seconds
}

// Lost are access tokens of one connection whose holders are not entitled to them any more, or to less.
type Lost struct {
	Org        string // ID
	Connection string
	of         []handed
}

const (
	lostBatch = 10_000
	// withdrawAgain is when a statement that was not delivered is made again.
	withdrawAgain = 15 * time.Second
)

// LostTokens finds the access tokens to withdraw: after a connection was unshared, a limit set, a role changed, a member
// removed, or when alive denies the API key of this cloud that has asked for them. What [Registry.WithdrawTokens] has taken is not
// found again for a while.
//
// A session that has ended does not concern its tokens: whoever signs out is entitled to the connection as before.
func (r *Registry) LostTokens(ctx context.Context, alive func(apiKey uuid.UUID) bool) ([]Lost, error) {
	now := r.cfg.Now().Unix()
	rows, err := r.db.QueryContext(ctx, selectLost, now, lostBatch)
	var out []Lost
	err = eachRow(rows, err, func(s scanner) error {
		var h handed
		var org, connection string
		var entitled bool
		if err := s.Scan(&connection, &org, &h.userID, &h.subject, &h.apiKey, &h.terms, &h.serverKey, &h.until, &entitled); err != nil {
			return err
		}
		if entitled {
			if id, err := uuid.Parse(h.apiKey); err != nil || alive(id) {
				return nil
			}
		}
		if last := len(out) - 1; last < 0 || out[last].Connection != connection || len(out[last].of) == bridge.MaxWithdrawals {
			out = append(out, Lost{Org: org, Connection: connection})
		}
		last := &out[len(out)-1]
		last.of = append(last.of, h)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for tokens to withdraw: %w", err)
	}
	return out, nil
}

// selectLost asks the rules of who may use a connection of all who hold tokens; $1 is the time. Those that API keys have
// asked for are found, too, as whether the key is alive is not for a row here to say.
var selectLost = `WITH g AS (SELECT h.connection_id AS connection, '' AS session, h.org_id AS v1, h.user_id AS v2, h.environment AS v3,
		h.manage AS v4, h.maker_id AS v5, h.role AS its_role, CASE WHEN h.user_id = h.api_key_id THEN '' ELSE h.role END AS role,
		h.subject, h.api_key_id, h.terms, h.server_key_id, h.issued_at
		FROM handed_tokens h WHERE h.expires_at > $1 AND h.withdrawn_at < h.issued_at AND h.next_at <= $1),
	held AS (SELECT g.*, EXISTS (SELECT 1 FROM connections c JOIN users u ON u.id = c.owner_id` + limitsOfGrant + `
		WHERE c.id = g.connection AND` + grantHolds + ` AND g.terms = ` + termsNow + `) AS entitled FROM g)
	SELECT connection, v1, v2, subject, api_key_id, terms, server_key_id, issued_at, entitled FROM held
	WHERE NOT entitled OR api_key_id <> '' ORDER BY entitled, connection, v2 LIMIT $2`

// Withdrawal is a statement to deliver to a server: from whom the access tokens of its key are withdrawn.
type Withdrawal struct {
	Lost
	Server    bridge.ServerURL
	KeyID     string
	Statement bridge.Secret // see [bridge.Withdrawal]
}

// WithdrawTokens makes the statement that withdraws lost tokens, which is to be delivered now; ok is false where there is nothing
// to deliver: another process does, or the key that signed them is gone from the connection, and its revocation under way.
func (r *Registry) WithdrawTokens(ctx context.Context, lost Lost) (w Withdrawal, ok bool, err error) {
	w.Org, w.Connection = lost.Org, lost.Connection
	if w.of, err = r.claimLost(ctx, lost); err != nil || len(w.of) == 0 {
		return w, false, err
	}
	c, err := scanConnection(r.db.QueryRowContext(ctx, "SELECT "+connectionColumns+fromConnections+"WHERE c.id = $1", lost.Connection))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return w, false, fmt.Errorf("look up a connection: %w", err)
	}
	until := map[string]int64{}
	for _, h := range w.of {
		if h.serverKey == c.keyID {
			until[h.subject] = max(until[h.subject], h.until)
		}
	}
	if len(until) == 0 || c.secret == "" {
		return w, false, r.Withdrawn(ctx, w)
	}
	key, err := r.aceKey(c)
	if err != nil {
		return w, false, err
	}
	w.Server, w.KeyID = c.server, c.keyID
	if w.Statement, err = key.SignWithdrawal(bridge.Withdrawal{Until: until}, r.cfg.Now()); err != nil {
		return w, false, fmt.Errorf("sign a withdrawal: %w", err)
	}
	return w, true, nil
}

// claimLost puts off the next look at lost tokens, and returns those of them that no other process has claimed.
func (r *Registry) claimLost(ctx context.Context, lost Lost) (claimed []handed, err error) {
	now := r.cfg.Now()
	err = r.db.Tx(ctx, func(tx *sql.Tx) error {
		claimed = nil
		for _, h := range lost.of {
			mine, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE handed_tokens SET next_at = $1 WHERE connection_id = $2 AND user_id = $3
				AND api_key_id = $4 AND terms = $5 AND issued_at = $6 AND next_at <= $7`, now.Add(withdrawAgain).Unix(), lost.Connection,
				h.userID, h.apiKey, h.terms, h.until, now.Unix()))
			if err != nil {
				return fmt.Errorf("claim tokens to withdraw: %w", err)
			}
			if mine {
				claimed = append(claimed, h)
			}
		}
		return nil
	})
	return claimed, err
}

// Withdrawn notes that a server has taken a withdrawal.
func (r *Registry) Withdrawn(ctx context.Context, w Withdrawal) error {
	return r.db.Tx(ctx, func(tx *sql.Tx) error {
		for _, h := range w.of {
			if _, err := tx.ExecContext(ctx, `UPDATE handed_tokens SET withdrawn_at = $1 WHERE connection_id = $2 AND user_id = $3
				AND api_key_id = $4 AND terms = $5 AND withdrawn_at < $1`, h.until, w.Connection, h.userID, h.apiKey, h.terms); err != nil {
				return fmt.Errorf("note a withdrawal: %w", err)
			}
		}
		return nil
	})
}
