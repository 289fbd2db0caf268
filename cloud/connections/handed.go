package connections

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
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// terms are what an access token's rights follow from, besides its connection: as long as they are these, the token may live
// until it expires. No scope, role or access has the separator in it.
func terms(p accounts.Principal, b bounds) string {
	parts := []string{p.Member, string(p.Role), b.ceiling, b.own.access, b.own.ceiling, b.maker.access, b.maker.ceiling}
	for _, l := range b.parents {
		if l.access != "" {
			parts = append(parts, l.access, l.ceiling)
		}
	}
	return strings.Join(parts, "|")
}

// termsNow is the same of a row "caller", a connection c, and the exceptions l, k and k1 to k3; see [withLimits].
const termsNow = `COALESCE((SELECT m.id FROM members m WHERE m.org_id = caller.org_id AND m.user_id = caller.user_id), '') || '|' ||
	CASE WHEN c.owner_id = caller.user_id THEN caller.its_role || '|||||' ELSE caller.its_role || '|' || c.ceiling || '|' || COALESCE(l.access, '') || '|' ||
	COALESCE(l.ceiling, '') || '|' || COALESCE(k.access, '') || '|' || COALESCE(k.ceiling, '') ||
	COALESCE('|' || k1.access || '|' || k1.ceiling, '') || COALESCE('|' || k2.access || '|' || k2.ceiling, '') ||
	COALESCE('|' || k3.access || '|' || k3.ceiling, '') END`

// makesKeys reports whether an access token of these scopes may create or change API keys on its server. What the server's
// catalogue makes of a wildcard is not known here, so that one counts.
func makesKeys(scope string) bool {
	for _, s := range strings.Fields(scope) {
		first, rest, _ := strings.Cut(s, ":")
		if first == "*" || first == "key" && rest != "read" {
			return true
		}
	}
	return false
}

// noteHanded keeps that a token is about to be handed out, and returns when it is issued: at a moment that no withdrawal of
// other tokens of its subject covers, for servers that go by times.
func noteHanded(ctx context.Context, tx *sql.Tx, p accounts.Principal, c Connection, b bounds, now time.Time) (time.Time, error) {
	apiKey := ""
	if p.Kind != "" {
		apiKey = p.Key.KeyID.String()
	}
	subject, _ := c.speaksFor(p)
	its := terms(p, b)
	var issued int64
	err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(CASE WHEN number = 0 AND user_id = $3 AND api_key_id = $4 AND terms = $5
		THEN issued_at ELSE issued_at + 1 END), 0) FROM handed_tokens WHERE connection_id = $1 AND subject = $2 AND issued_at >= $6`,
		c.ID, subject, p.UserID, apiKey, its, now.Unix()).Scan(&issued)
	if err != nil {
		return now, fmt.Errorf("look for tokens that were handed out: %w", err)
	}
	if issued > now.Unix() {
		now = time.Unix(issued, 0)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO handed_tokens (connection_id, api_key_id, terms, subject, role, server_key_id, issued_at,
		expires_at, makes_keys, org_id, user_id, environment, manage, maker_id, parent_1, parent_2, parent_3, withdrawn_at, next_at, number, made_keys)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 0, 0, 0, $9)
		ON CONFLICT (connection_id, user_id, api_key_id, terms) DO UPDATE SET issued_at = excluded.issued_at, expires_at = excluded.expires_at,
		subject = excluded.subject, server_key_id = excluded.server_key_id, manage = excluded.manage, next_at = 0, withdrawn_at = 0,
		number = CASE WHEN handed_tokens.restate THEN handed_tokens.number ELSE 0 END, lost_at = 0, tries = 0, cause = '',
		makes_keys = CASE WHEN excluded.makes_keys THEN TRUE ELSE handed_tokens.makes_keys END,
		made_keys = CASE WHEN excluded.makes_keys THEN TRUE ELSE handed_tokens.made_keys END`,
		c.ID, apiKey, its, subject, string(p.Role), c.KeyID, now.Unix(), now.Add(bridge.MaxAccessTokenLife).Unix(), makesKeys(c.tokenScope()),
		p.OrgID, p.UserID, p.Environment, p.Manages(), p.MakerID, p.Parents[0], p.Parents[1], p.Parents[2])
	if err != nil {
		return now, fmt.Errorf("keep that a token is handed out: %w", err)
	}
	return now, nil
}

// noted reports whether the row that [noteHanded] writes stands already, so that nothing has to be written for a token that
// stays within the cloud.
func (st *Tokens) noted(ctx context.Context, p accounts.Principal, c Connection, b bounds) (bool, error) {
	if !makesKeys(c.tokenScope()) {
		return true, nil
	}
	apiKey := ""
	if p.Kind != "" {
		apiKey = p.Key.KeyID.String()
	}
	var n int
	err := st.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM handed_tokens WHERE connection_id = $1 AND user_id = $2 AND api_key_id = $3 AND terms = $4
		AND makes_keys AND number = 0 AND withdrawn_at < issued_at AND server_key_id = $5`, c.ID, p.UserID, apiKey, terms(p, b), c.KeyID).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for tokens that were handed out: %w", err)
	}
	return n > 0, nil
}

// Handed are the access tokens of a connection that somebody holds, of the same terms.
type Handed struct {
	UserID, Subject, APIKey, Terms, ServerKey string
	Until                                     int64 // the last was issued then, unix seconds
	Number                                    int64 // of the withdrawal that is under way; 0: none is
	MakesKeys, keyEnded                       bool
	restate                                   bool   // the server went on with a backup: it is told the same again
	environment, manage, maker                string // see [sight]
	parents                                   [accounts.MaxParents]string
}

// Lost are access tokens of one connection whose holders are not entitled to them any more, or to less.
type Lost struct {
	Org        string // ID
	Connection string
	Of         []Handed
}

const (
	lostBatch = 10_000
	// withdrawAgain is when a statement that was not delivered is made again.
	withdrawAgain = 15 * time.Second
)

// accessNoted is how long after a change of access those are looked at whom it may concern.
const accessNoted = 2 * time.Minute

// Look says which holders [Tokens.LostTokens] checks.
type Look struct {
	Alive     func(apiKey uuid.UUID) bool // reports whether an API key of this cloud is
	KeysSince int64                       // API keys of this cloud that have changed after this version count as changed
	Everybody bool                        // and not only those whom a change concerns
}

// LostTokens finds the access tokens to withdraw: after a connection was unshared, a limit set, a role changed, a member
// removed, or when the API key of this cloud that has asked for them is not alive. What [Tokens.WithdrawTokens] has taken is not
// found again for a while. Where a token has expired and its holder may have made personal keys with it, it is looked at after a
// change, and when everybody is.
//
// A session that has ended does not concern its tokens: whoever signs out is entitled to the connection as before.
func (st *Tokens) LostTokens(ctx context.Context, look Look) ([]Lost, error) {
	now := st.db.Now()
	query, args := selectLost(changedHolders), []any{now.Unix(), lostBatch, now.Add(-accessNoted).Unix(), look.KeysSince}
	if look.Everybody {
		query, args = selectLost(allHolders), args[:2]
	}
	return lostTokens(ctx, st.db, look.Alive, query, args...)
}

// LostIn finds the tokens to withdraw in one organization, within a transaction; alive says which API keys live.
func LostIn(ctx context.Context, tx *sql.Tx, orgID string, now time.Time, alive func(apiKey uuid.UUID) bool) ([]Lost, error) {
	return lostTokens(ctx, tx, alive, selectLost(holdersOf), now.Unix(), lostBatch, orgID)
}

// lostTokens is [Tokens.LostTokens] with a query made by [selectLost].
func lostTokens(ctx context.Context, q schema.Queryer, alive func(apiKey uuid.UUID) bool, query string, args ...any) ([]Lost, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	var out []Lost
	err = sqldb.Each(rows, err, func(s sqldb.Row) error {
		var h Handed
		var org, connection string
		var entitled bool
		if err := s.Scan(&connection, &org, &h.UserID, &h.environment, &h.manage, &h.maker, &h.parents[0], &h.parents[1], &h.parents[2],
			&h.Subject, &h.APIKey, &h.Terms, &h.ServerKey, &h.Until, &h.Number, &h.MakesKeys, &h.restate, &entitled); err != nil {
			return err
		}
		if h.APIKey != "" {
			id, err := uuid.Parse(h.APIKey)
			h.keyEnded = err == nil && !alive(id)
		}
		if entitled && !h.keyEnded && !h.restate {
			return nil
		}
		if last := len(out) - 1; last < 0 || out[last].Connection != connection || out[last].Of[0].Number != h.Number ||
			len(out[last].Of) == bridge.MaxWithdrawals {
			out = append(out, Lost{Org: org, Connection: connection})
		}
		last := &out[len(out)-1]
		last.Of = append(last.Of, h)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for tokens to withdraw: %w", err)
	}
	return out, nil
}

// The rows that may have to be withdrawn: of tokens that are alive, and of those that personal keys may have been made with,
// if their access may have changed since $3, or the API key that asked after version $4, or all.
const (
	allHolders     = "(h.expires_at > $1 OR h.makes_keys)"
	holdersOf      = "h.org_id = $3 AND " + allHolders // an organization
	changedHolders = `(h.expires_at > $1 OR h.number <> 0 OR h.restate
		OR h.connection_id IN (SELECT n.connection_id FROM connection_changes n WHERE n.changed_at >= $3)
		OR h.user_id IN (SELECT n.user_id FROM access_changes n WHERE n.changed_at >= $3)
		OR h.api_key_id IN (SELECT n.id FROM api_keys n WHERE n.version > $4)
		OR h.api_key_id IN (SELECT n.id FROM api_keys n WHERE n.expires_at >= $3 AND n.expires_at <= $1))`
)

// selectLost asks the rules of who may use a connection of all who hold tokens; $1 is the time. Those that API keys have
// asked for are found too, since no row here says whether the key is alive. What is sent again goes in the order of its
// numbers: after a higher number a server takes no lower one about the same member.
func selectLost(holders string) string {
	return `WITH caller AS (SELECT h.connection_id AS connection, '' AS session, h.org_id, h.user_id, h.environment,
		h.manage, h.maker_id, h.parent_1, h.parent_2, h.parent_3, h.role AS its_role, CASE WHEN h.user_id = h.api_key_id THEN '' ELSE h.role END AS role,
		h.subject, h.api_key_id, h.terms, h.server_key_id, h.issued_at, h.number, h.makes_keys, h.restate
		FROM handed_tokens h WHERE h.withdrawn_at < h.issued_at AND h.next_at <= $1 AND (h.expires_at > $1 OR h.makes_keys) AND ` + holders + `
		AND (NOT h.restate OR NOT EXISTS (SELECT 1 FROM handed_tokens o WHERE o.restate AND o.connection_id = h.connection_id AND o.number < h.number))),
	held AS (SELECT caller.*, EXISTS (SELECT 1 FROM connections c JOIN users u ON u.id = c.owner_id` + withLimits + `
		WHERE c.id = caller.connection AND` + usable + `AND` + stands + `AND caller.terms = ` + termsNow + `) AS entitled FROM caller)
	SELECT connection, org_id, user_id, environment, manage, maker_id, parent_1, parent_2, parent_3, subject, api_key_id, terms, server_key_id, issued_at, number, makes_keys, restate, entitled FROM held
	WHERE NOT entitled OR restate OR api_key_id <> '' ORDER BY entitled, connection, number, user_id LIMIT $2`
}

// Withdrawal is a statement to deliver to a server: from whom the access tokens of its key are withdrawn.
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
}

// WithdrawTokens makes the statement that withdraws lost tokens, which is to be delivered now; ok is false where there is nothing
// to deliver: another process does, or the key that signed them is gone from the connection, and its revocation under way. The
// statement says what is left to the personal keys of each holder, by the rules and rows of now.
func (st *Tokens) WithdrawTokens(ctx context.Context, lost Lost) (w Withdrawal, ok bool, err error) {
	err = st.db.ChangeIf(ctx, func(tx *sql.Tx) (claimed bool, err error) {
		w = Withdrawal{Lost: Lost{Org: lost.Org, Connection: lost.Connection}, left: map[string]rights{}}
		ok = false
		if err := st.claimLost(ctx, tx, lost, &w); err != nil || len(w.Of) == 0 {
			return false, err
		}
		c, err := scanConnection(tx.QueryRowContext(ctx, "SELECT "+connectionColumns+fromConnections+"WHERE c.id = $1", lost.Connection))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return false, fmt.Errorf("look up a connection: %w", err)
		}
		until := map[string]int64{}
		for _, h := range w.Of {
			if h.ServerKey == c.KeyID {
				until[h.Subject] = max(until[h.Subject], h.Until)
			}
		}
		if len(until) == 0 || c.secret == "" {
			return true, st.noteWithdrawn(ctx, tx, w)
		}
		ok = true
		return true, st.stateWithdrawal(ctx, tx, c, until, &w)
	})
	return w, ok && err == nil, err
}

// stateWithdrawal signs a withdrawal. One that would be too long is for the first half of the holders; the others are found again.
func (st *Tokens) stateWithdrawal(ctx context.Context, tx *sql.Tx, c Connection, until map[string]int64, w *Withdrawal) error {
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
	key, err := st.store.aceKey(c)
	if err != nil {
		return err
	}
	w.Server, w.KeyID = c.server, c.KeyID
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

// RightsNow are what a holder of tokens may do over the connection now, by the one rule of who may: [Store.Find] and
// [connection.use]. A person has them with every session and personal access token of one membership; has is false where nothing
// is left.
func (st *Tokens) RightsNow(ctx context.Context, tx *sql.Tx, c Connection, orgID string, h Handed) (left rights, has bool, err error) {
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
	if errors.Is(err, ErrConnection) {
		return left, false, nil
	}
	if err != nil {
		return left, false, err
	}
	allowed := seen.bounds(p)
	if seen, err = seen.use(p); err != nil {
		return left, false, nil //nolint:nilerr // it is refused, so that nothing is left
	}
	return rights{bridge.KeyAccess{Scope: seen.tokenScope(), Role: p.Role}, terms(p, allowed)}, true, nil
}

// claimLost puts off the next look at lost tokens, and takes those of them that no other process has claimed. The first claim
// of a token gives its withdrawal a number, which it keeps until it is delivered: what is handed out meanwhile has that number,
// and is not concerned.
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

// WithdrawalFailed notes why a withdrawal was not delivered to a server; it is tried again.
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

// noteWithdrawn notes that a withdrawal was delivered. It also stores that a holder may still have personal keys, under the
// terms that the server was told, or that the server must be told again after a restore if nothing is left. A row that a token
// was handed out for in the meantime stays as it is.
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
			w.Connection, h.UserID, apiKey, left.terms, w.Org, h.Subject, string(left.Access.Role), h.manage, h.environment, h.maker,
			h.parents[0], h.parents[1], h.parents[2], h.ServerKey, h.Until, h.Number); err != nil {
			return fmt.Errorf("keep who may have personal keys: %w", err)
		}
	}
	return nil
}

// WithdrawalsDue tells that there may be tokens to withdraw.
func (st *Tokens) WithdrawalsDue() <-chan struct{} { return st.store.withdrawalsDue }
