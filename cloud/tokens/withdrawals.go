package tokens

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
)

// Withdrawal is a statement to deliver to a server: whose access tokens are withdrawn.
type Withdrawal struct {
	Lost
	Server    bridge.ServerURL
	KeyID     string
	Statement bridge.Secret // see [bridge.Withdrawal]

	number int64
	left   map[string]rights // by subject
}

// rights are what a person or an API key may do over a connection now.
type rights struct {
	Access bridge.KeyAccess
	terms  string
	manage string // see [accounts.Principal.Manages]
}

// WithdrawTokens makes the statement that withdraws lost tokens, to be delivered now. It says what is left to the personal keys of
// each holder, by today's rules and rows. There is nothing to deliver, and ok is false, if another process delivers it, or if the
// key that signed the tokens is gone from the connection and is being revoked.
func (st *Tokens) WithdrawTokens(ctx context.Context, lost Lost) (w Withdrawal, ok bool, err error) {
	err = st.db.ChangeIf(ctx, func(tx *sql.Tx) (claimed bool, err error) {
		w = Withdrawal{Lost: Lost{Org: lost.Org, Connection: lost.Connection}, left: map[string]rights{}}
		ok = false
		if err := st.claimLost(ctx, tx, lost, &w); err != nil || len(w.Of) == 0 {
			return false, err
		}
		c, err := connections.FindAny(ctx, tx, lost.Connection)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return false, fmt.Errorf("look up a connection: %w", err)
		}
		until := map[string]int64{}
		for _, h := range w.Of {
			if h.ServerKey == c.KeyID {
				until[h.Subject] = max(until[h.Subject], h.Until)
			}
		}
		if len(until) == 0 || c.Secret == "" {
			return true, st.noteWithdrawn(ctx, tx, w)
		}
		ok = true
		return true, st.stateWithdrawal(ctx, tx, c, until, &w)
	})
	return w, ok && err == nil, err
}

// stateWithdrawal signs a withdrawal. If that gets too long, it covers half of the holders, and the others are found again.
func (st *Tokens) stateWithdrawal(ctx context.Context, tx *sql.Tx, c connections.Connection, until map[string]int64, w *Withdrawal) error {
	keys, none := map[string]bridge.KeyAccess{}, map[string]bool{}
	for _, h := range w.Of {
		left, has, err := st.RightsNow(ctx, tx, c, w.Org, h)
		if err != nil {
			return err
		}
		if w.left[h.Subject], keys[h.Subject] = left, left.Access; !has {
			none[h.Subject] = true
		}
	}
	for subject := range none {
		delete(w.left, subject)
		delete(keys, subject)
	}
	key, err := st.store.AceKey(c)
	if err != nil {
		return err
	}
	w.Server, w.KeyID = c.Server, c.KeyID
	w.Statement, err = key.SignWithdrawal(bridge.Withdrawal{Number: w.number, Until: until, Keys: keys}, st.db.Now())
	if bridge.CodeOf(err) == bridge.CodeWithdrawalTooLong && len(w.Of) > 1 {
		half := len(w.Of) / 2
		for _, h := range w.Of[half:] {
			if _, err := tx.ExecContext(ctx, "UPDATE handed_tokens SET next_at = 0"+ofHanded, w.Connection, h.UserID, h.APIKey, h.Terms); err != nil {
				return fmt.Errorf("put off a withdrawal: %w", err)
			}
		}
		w.Of, w.left = w.Of[:half], map[string]rights{}
		some := map[string]int64{}
		for _, h := range w.Of {
			some[h.Subject] = until[h.Subject]
		}
		return st.stateWithdrawal(ctx, tx, c, some, w)
	}
	if err != nil {
		return fmt.Errorf("sign a withdrawal: %w", err)
	}
	return nil
}

// RightsNow is what a holder of tokens may do over the connection now, by the one access rule: [connections.Store.Find] and
// [connections.Connection.Use]. A person has the same rights with every session and personal access token of a membership. If nothing
// is left, has is false.
func (st *Tokens) RightsNow(ctx context.Context, tx *sql.Tx, c connections.Connection, orgID string, h Handed) (left rights, has bool, err error) {
	p := accounts.Principal{UserID: h.UserID, Email: h.Subject, OrgID: orgID, Environment: h.environment, MakerID: h.maker, Parents: h.parents}
	if h.UserID == h.APIKey {
		p.Kind, p.Role = bridge.KindLive, bridge.RoleMember
		if h.manage != "" {
			p.Granted = bridge.Scopes{"connection:manage"}
		}
		if h.keyEnded {
			return left, false, nil
		}
	} else {
		err := tx.QueryRowContext(ctx, `SELECT m.id, m.role, u.email FROM members m JOIN users u ON u.id = m.user_id WHERE m.org_id = $1 AND m.user_id = $2`,
			orgID, h.UserID).Scan(&p.Member, &p.Role, &p.Email)
		if errors.Is(err, sql.ErrNoRows) {
			return left, false, nil
		}
		if err != nil {
			return left, false, fmt.Errorf("look up a member: %w", err)
		}
		member, _, _ := strings.Cut(h.Terms, "|")
		if member != p.Member && !bridge.Role(member).Valid() { // a role stands first in rows of older versions
			return left, false, nil
		}
	}
	seen, err := st.store.Find(ctx, tx, p, c.ID)
	if errors.Is(err, connections.ErrConnection) {
		return left, false, nil
	}
	if err != nil {
		return left, false, err
	}
	allowed := seen.Bounds(p)
	if seen, err = seen.Use(p); err != nil {
		return left, false, nil //nolint:nilerr // it is refused, so that nothing is left
	}
	return rights{bridge.KeyAccess{Scope: seen.TokenScope(), Role: p.Role}, connections.Terms(p, allowed), p.Manages()}, true, nil
}

// claimLost claims those lost tokens that no other process has claimed, and puts off the next look at them. The first claim of a
// token gives its withdrawal a number, which it keeps until it is delivered. Tokens handed out in the meantime carry that number,
// so that the withdrawal does not concern them.
func (st *Tokens) claimLost(ctx context.Context, tx *sql.Tx, lost Lost, w *Withdrawal) error {
	now, fresh := st.db.Now(), false
	for _, h := range lost.Of {
		mine, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE handed_tokens SET next_at = $5"+ofHanded+" AND issued_at = $6 AND next_at <= $7 AND number = $8",
			lost.Connection, h.UserID, h.APIKey, h.Terms, now.Add(withdrawAgain).Unix(), h.Until, now.Unix(), h.Number))
		if err != nil {
			return fmt.Errorf("claim tokens to withdraw: %w", err)
		}
		if mine {
			w.Of, w.number, fresh = append(w.Of, h), max(w.number, h.Number), fresh || h.Number == 0
		}
	}
	if !fresh {
		return nil
	}
	err := tx.QueryRowContext(ctx, "UPDATE connections SET statement_number = statement_number + 1 WHERE id = $1 RETURNING statement_number",
		lost.Connection).Scan(&w.number)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // the connection is gone, and its key with it
	}
	if err != nil {
		return fmt.Errorf("number a withdrawal: %w", err)
	}
	for i := range w.Of {
		h := &w.Of[i]
		h.Number = w.number
		if _, err := tx.ExecContext(ctx, "UPDATE handed_tokens SET lost_at = CASE WHEN lost_at = 0 THEN $6 ELSE lost_at END, number = $5"+ofHanded, lost.Connection, h.UserID, h.APIKey, h.Terms, h.Number, now.Unix()); err != nil {
			return fmt.Errorf("number a withdrawal: %w", err)
		}
	}
	return nil
}

const ofHanded = " WHERE connection_id = $1 AND user_id = $2 AND api_key_id = $3 AND terms = $4"

// Withdrawn notes that a server has taken a withdrawal.
func (st *Tokens) Withdrawn(ctx context.Context, w Withdrawal) error {
	return st.db.Tx(ctx, func(tx *sql.Tx) error { return st.noteWithdrawn(ctx, tx, w) })
}

// WithdrawalFailed notes why a server has not taken a withdrawal; it is tried again.
func (st *Tokens) WithdrawalFailed(ctx context.Context, lost Lost, cause string) error {
	now := st.db.Now()
	return st.db.Tx(ctx, func(tx *sql.Tx) error {
		for _, h := range lost.Of {
			if _, err := tx.ExecContext(ctx, `UPDATE handed_tokens SET tries = tries + 1, cause = $5, next_at = $6,
				lost_at = CASE WHEN lost_at = 0 THEN $7 ELSE lost_at END`+ofHanded+" AND issued_at = $8", lost.Connection, h.UserID, h.APIKey, h.Terms, cause, now.Add(withdrawAgain).Unix(), now.Unix(), h.Until); err != nil {
				return fmt.Errorf("note that a withdrawal was not taken: %w", err)
			}
		}
		return nil
	})
}

// noteWithdrawn notes that a withdrawal was delivered. A holder who has rights left may still have personal keys: that is stored
// under the terms that the server was told. One who has none left is told to the server again after a restore. A row for which a
// token was handed out in the meantime stays as it is.
func (st *Tokens) noteWithdrawn(ctx context.Context, tx *sql.Tx, w Withdrawal) error {
	for _, h := range w.Of {
		left, has := w.left[h.Subject]
		done, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE handed_tokens SET withdrawn_at = issued_at, makes_keys = FALSE, number = 0, next_at = 0, restate = FALSE,
			lost_at = 0, tries = 0, cause = '', told_number = $5, made_keys = CASE WHEN $6 THEN FALSE ELSE made_keys END`+ofHanded+
			" AND number = $5", w.Connection, h.UserID, h.APIKey, h.Terms, h.Number, has))
		if err != nil {
			return fmt.Errorf("note a withdrawal: %w", err)
		}
		if !done || !h.MakesKeys || !has {
			continue
		}
		apiKey := h.APIKey
		if h.UserID != apiKey {
			apiKey = "" // what a person has made with a token of theirs is the person's
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO handed_tokens (connection_id, user_id, api_key_id, terms, org_id, subject, role, manage,
			environment, maker_id, parent_1, parent_2, parent_3, server_key_id, issued_at, expires_at, withdrawn_at, next_at, makes_keys, number, made_keys, told_number)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 0, 0, 0, TRUE, 0, TRUE, $16)
			ON CONFLICT (connection_id, user_id, api_key_id, terms) DO UPDATE SET makes_keys = TRUE, made_keys = TRUE, next_at = 0,
			number = CASE WHEN handed_tokens.restate THEN handed_tokens.number ELSE 0 END,
			told_number = CASE WHEN handed_tokens.told_number < excluded.told_number THEN excluded.told_number ELSE handed_tokens.told_number END,
			withdrawn_at = CASE WHEN handed_tokens.withdrawn_at < handed_tokens.issued_at THEN handed_tokens.withdrawn_at ELSE 0 END`,
			w.Connection, h.UserID, apiKey, left.terms, w.Org, h.Subject, string(left.Access.Role), left.manage, h.environment, h.maker,
			h.parents[0], h.parents[1], h.parents[2], h.ServerKey, h.Until, h.Number); err != nil {
			return fmt.Errorf("keep who may have personal keys: %w", err)
		}
	}
	return nil
}

// WithdrawalsDue tells that there may be tokens to withdraw.
func (st *Tokens) WithdrawalsDue() <-chan struct{} { return st.signals.Withdrawals }
