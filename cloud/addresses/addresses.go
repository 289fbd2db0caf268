package addresses

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/joining"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/schema"
)

// Life is how long the links of a change work.
const Life = 24 * time.Hour

// maxChanges bounds the changes that a person may ask for within [Life].
const maxChanges = 5

// Request asks for another e-mail address.
type Request struct {
	Email    string
	Password bridge.Secret
	OTP      string // needed if the account has a second factor
}

// Change is a change of address that is not confirmed yet.
type Change struct {
	UserID    string
	From, To  string
	ExpiresAt time.Time
}

var (
	// ErrTaken refuses an address that another account has proven.
	ErrTaken = bridge.E(bridge.Conflict, bridge.CodeAddressTaken, "there is another account with the new address").
			WithHint("sign in to that one, or take another address; nothing was changed")
	errNoChange = bridge.E(bridge.NotFound, bridge.CodeAddressChangeUnknown, "no change of the address is waiting")
)

// RequireChangeable refuses a person whose address a sign-in provider decides, and a cloud that sends no mail.
func (st *Store) RequireChangeable(ctx context.Context, p accounts.Principal) error {
	if err := requireOwn(ctx, st.db, p.UserID); err != nil {
		return err
	}
	if err := p.RequireOwnSession(); err != nil {
		return err
	}
	if st.outbox.RequireMail() != nil {
		return outbox.ErrNoMail.WithHint("its operator changes the address: ace cloud user set-address %s NEW", p.Email)
	}
	return nil
}

// requireOwn refuses a person whom a sign-in provider knows: the provider decides their address.
func requireOwn(ctx context.Context, q schema.Queryer, userID string) error {
	var org, password string
	err := q.QueryRowContext(ctx, `SELECT o.slug, u.password FROM provider_subjects s JOIN providers v ON v.id = s.provider_id
		JOIN organizations o ON o.id = v.org_id JOIN users u ON u.id = s.user_id WHERE s.user_id = $1 ORDER BY o.slug LIMIT 1`,
		userID).Scan(&org, &password)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a sign-in provider: %w", err)
	}
	refusal := bridge.E(bridge.Forbidden, bridge.CodeAddressOfProvider, "the sign-in provider of %s decides your address", org)
	if password != "" {
		return refusal.WithHint("have it changed there, and ask the operator of this cloud to follow: ace cloud user set-address OLD NEW")
	}
	return refusal.WithHint("have it changed there, and sign in through %s again: the account here follows", org)
}

// Ask asks for another address for the caller's account, and mails both addresses. It does not check whether another account
// has the new one: only the recipient of the mail may learn that.
//
// An account with a second factor needs a code ([bridge.CodeOTPRequired]). A wrong code is Forbidden and not Unauthenticated, since
// the session itself is good. A person may ask five times a day.
func (st *Store) Ask(ctx context.Context, caller accounts.Caller, n Request) (Change, error) {
	none := Change{}
	if err := st.RequireChangeable(ctx, caller.Principal); err != nil {
		return none, err
	}
	to, err := bridge.CanonicalEmail(n.Email)
	if err != nil {
		return none, err
	}
	if to == caller.Email {
		return none, bridge.E(bridge.Invalid, bridge.CodeAddressSame, "that is the address of your account already")
	}
	second, err := factors.On(ctx, st.db, caller.UserID)
	if err != nil {
		return none, err
	}
	change := Change{UserID: caller.UserID, From: caller.Email, To: to}
	ask := func(tx *sql.Tx) error { return st.keep(ctx, tx, &change, caller.Actor) }
	switch {
	case !second:
		var was accounts.Shown
		if was, err = st.factors.ConfirmPassword(ctx, caller, n.Password); err != nil {
			break
		}
		was.Both = false // the account has had no second factor
		err = st.outbox.Change(ctx, func(tx *sql.Tx) error {
			if err := factors.RequireUnchanged(ctx, tx, caller.UserID, was); err != nil {
				return err
			}
			return ask(tx)
		})
	case n.OTP == "":
		err = bridge.E(bridge.Forbidden, bridge.CodeOTPRequired, "your account has two-factor authentication: a code is needed, too").
			WithHint("give the six digits of your authenticator app, or a recovery code")
	default:
		err = st.factors.WithBoth(ctx, caller, n.Password, n.OTP, ask)
	}
	if refusal := factors.Refusal(err); refusal != nil { // Unauthenticated would say that the session is over
		err = bridge.E(bridge.Forbidden, refusal.Code, "%s", refusal.Detail)
	}
	if err != nil {
		return none, err
	}
	return change, nil
}

// keep stores a pending change in place of an earlier one, and mails both addresses.
func (st *Store) keep(ctx context.Context, tx *sql.Tx, change *Change, actor audit.Actor) error {
	now := st.db.Now()
	held, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE users SET email = email WHERE id = $1 AND email = $2",
		change.UserID, change.From))
	if err != nil {
		return fmt.Errorf("change an address: %w", err)
	}
	if !held {
		return bridge.E(bridge.Conflict, bridge.CodeChangedMeanwhile,
			"the address was changed at the same time").WithHint("look at it again")
	}
	var asked int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM address_changes WHERE user_id = $1 AND created_at > $2",
		change.UserID, now.Add(-Life).Unix()).Scan(&asked); err != nil {
		return fmt.Errorf("count the changes of an address: %w", err)
	}
	if asked >= maxChanges {
		return &bridge.Error{Kind: bridge.TooMany, Code: bridge.CodeTooManyRequests,
			Detail: "Too many changes of the address were asked for.",
			Hint:   "Wait a day.", RetryAfter: Life}
	}
	if err := st.End(ctx, tx, change.UserID); err != nil {
		return err
	}
	token, stop := bridge.NewSecret(bridge.RandomToken(32)), bridge.NewSecret(bridge.RandomToken(32))
	expires := now.Add(Life)
	change.ExpiresAt = expires.UTC().Truncate(time.Second)
	if _, err := tx.ExecContext(ctx, `INSERT INTO address_changes
		(hash, stop, user_id, from_email, to_email, created_at, expires_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0)`,
		schema.Hash(token), schema.Hash(stop), change.UserID, change.From, change.To, now.Unix(), expires.Unix()); err != nil {
		return fmt.Errorf("keep a change of an address: %w", err)
	}
	for _, m := range []outbox.Message{st.newMail(*change, token, actor), st.oldMail(*change, stop, actor)} {
		if err := st.outbox.Queue(ctx, tx, m); err != nil {
			return err
		}
	}
	return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "address.ask", Target: "user:" + change.From,
		Details: map[string]string{"to": change.To}})
}

// pending finds a pending change by a column of its row.
func (st *Store) pending(ctx context.Context, column, value string) (Change, error) {
	var c Change
	var expires int64
	err := st.db.QueryRowContext(ctx, `SELECT a.user_id, a.from_email, a.to_email, a.expires_at FROM address_changes a
		JOIN users u ON u.id = a.user_id AND u.email = a.from_email WHERE a.`+column+` = $1 AND a.ended_at = 0 AND a.expires_at > $2`, //nolint:gosec // columns of this package
		value, st.db.Now().Unix()).Scan(&c.UserID, &c.From, &c.To, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return c, errNoChange
	}
	if err != nil {
		return c, fmt.Errorf("look up a change of an address: %w", err)
	}
	c.ExpiresAt = *schema.At(expires)
	return c, nil
}

// Pending returns the caller's pending change.
func (st *Store) Pending(ctx context.Context, p accounts.Principal) (Change, error) {
	if p.RequireOwnSession() != nil { // a provider's session is for its organization
		return Change{}, errNoChange
	}
	return st.pending(ctx, "user_id", p.UserID)
}

// Offered returns the change that a link belongs to; stop means the link that was mailed to the old address. The link is not
// used up, since programs that scan mail open links too.
func (st *Store) Offered(ctx context.Context, token bridge.Secret, stop bool) (Change, error) {
	column := "hash"
	if stop {
		column = "stop"
	}
	c, err := st.pending(ctx, column, schema.Hash(token))
	if bridge.CodeOf(err) == errNoChange.Code {
		err = accounts.ErrLink
	}
	return c, err
}

// Stop stops a change with the link that was mailed to the old address.
func (st *Store) Stop(ctx context.Context, token bridge.Secret, actor audit.Actor) error {
	return st.stop(ctx, "stop", schema.Hash(token), accounts.ErrLink, actor)
}

// Cancel cancels the caller's pending change.
func (st *Store) Cancel(ctx context.Context, caller accounts.Caller) error {
	if err := caller.RequireOwnSession(); err != nil {
		return err
	}
	return st.stop(ctx, "user_id", caller.UserID, errNoChange, caller.Actor)
}

// stop ends and audits a pending change that a column of its row names; refusal is returned if there is none.
func (st *Store) stop(ctx context.Context, column, value string, refusal error, actor audit.Actor) error {
	now := st.db.Now()
	return st.db.Change(ctx, func(tx *sql.Tx) error {
		var u accounts.User
		var to string
		err := tx.QueryRowContext(ctx, "UPDATE address_changes SET ended_at = $1 WHERE "+column+` = $2 AND ended_at = 0 AND expires_at > $1
			RETURNING user_id, from_email, to_email`, now.Unix(), value).Scan(&u.ID, &u.Email, &to) //nolint:gosec // columns of this package
		if errors.Is(err, sql.ErrNoRows) {
			return refusal
		}
		if err != nil {
			return fmt.Errorf("stop a change of an address: %w", err)
		}
		by, err := accounts.ActorOf(ctx, tx, u, actor)
		if err != nil {
			return err
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: by, Action: "address.stop", Target: "user:" + u.Email,
			Details: map[string]string{"to": to}})
	})
}

// Confirm gives the caller's account the address that the link was mailed to. Everything handed out before is void, including
// this session; the returned one replaces it. A link of another account is refused like an expired one, and an address that has an
// account by now with [ErrTaken].
func (st *Store) Confirm(ctx context.Context, caller accounts.Caller, token bridge.Secret) (accounts.Session, error) {
	if err := caller.RequireOwnSession(); err != nil {
		return accounts.Session{}, err
	}
	var s accounts.Session
	err := st.accounts.HandTx(ctx, func(tx *sql.Tx, after *accounts.AfterCommit) error {
		if _, err := st.sessions.Session(ctx, tx, "s.id", caller.SessionID); err != nil {
			return err
		}
		if err := requireOwn(ctx, tx, caller.UserID); err != nil {
			return err
		}
		var from, to string
		err := tx.QueryRowContext(ctx, `UPDATE address_changes SET ended_at = $1
			WHERE hash = $2 AND user_id = $3 AND ended_at = 0 AND expires_at > $1 RETURNING from_email, to_email`, st.db.Now().Unix(), schema.Hash(token), caller.UserID).Scan(&from, &to)
		if errors.Is(err, sql.ErrNoRows) {
			return accounts.ErrLink
		}
		if err != nil {
			return fmt.Errorf("confirm an address: %w", err)
		}
		h := accounts.Handover{User: accounts.User{ID: caller.UserID, Email: from}, Reason: "address changed", Actor: caller.Actor, After: after}
		if err := st.Move(ctx, tx, to, h); err != nil {
			return err
		}
		s, err = st.sessions.OpenIn(ctx, tx, accounts.Opening{UserID: caller.UserID, Org: caller.Org, Method: accounts.MethodBrowser}, caller.Actor)
		return err
	})
	if sqldb.IsUnique(err) {
		err = ErrTaken
	}
	if err != nil {
		return accounts.Session{}, err
	}
	return s, nil
}

// Set gives an account another address that the operator vouches for. Everything handed out before is void. An account that never
// proved its address belongs to nobody yet and is refused with [bridge.CodeEmailUnverified].
func (st *Store) Set(ctx context.Context, from, to string, actor audit.Actor) (accounts.User, error) {
	to, err := bridge.CanonicalEmail(to)
	if err != nil {
		return accounts.User{}, err
	}
	u, err := st.accounts.UserByEmail(ctx, from)
	if err != nil {
		return accounts.User{}, err
	}
	if u.Email == to {
		return accounts.User{}, bridge.E(bridge.Invalid, bridge.CodeAddressSame, "that is the address of the account already")
	}
	err = st.accounts.HandTx(ctx, func(tx *sql.Tx, after *accounts.AfterCommit) error {
		proven, err := accounts.IsProven(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		if !proven {
			return bridge.E(bridge.Conflict, bridge.CodeEmailUnverified,
				"nobody has proven the address %s, so the account does not belong to anybody yet", u.Email).
				WithHint("ace cloud user add --email %s --org SLUG", to)
		}
		return st.Move(ctx, tx, to, accounts.Handover{User: u, Reason: "address changed by the operator", Actor: actor, After: after})
	})
	if sqldb.IsUnique(err) {
		err = ErrTaken
	}
	if err != nil {
		return accounts.User{}, err
	}
	u.Email = to
	return u, nil
}

// Move gives an account another address within a transaction. Everything handed out before is void; the password and the second
// factor stay. An address that another account has proven is refused with [ErrTaken].
func (st *Store) Move(ctx context.Context, tx *sql.Tx, to string, h accounts.Handover) error {
	if err := st.free(ctx, tx, to, h); err != nil {
		return err
	}
	h.Own = true
	if err := st.accounts.HandOver(ctx, tx, h); err != nil {
		return err
	}
	moved, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE users SET email = $1 WHERE id = $2 AND email = $3", to, h.User.ID, h.User.Email))
	if err != nil {
		return fmt.Errorf("change an address: %w", err)
	}
	if !moved {
		return accounts.ErrLink
	}
	if err := st.accounts.ReownKeys(ctx, tx, h.User.Email, to, h.After); err != nil {
		return err
	}
	orgs, err := sqldb.Column[string](tx.QueryContext(ctx, `SELECT o.slug FROM members m JOIN organizations o ON o.id = m.org_id
		WHERE m.user_id = $1 ORDER BY o.slug`, h.User.ID))
	if err != nil {
		return fmt.Errorf("change an address: %w", err)
	}
	for _, org := range orgs {
		by := h.Actor
		by.Org = org
		if err := audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: by, Action: "address.change", Target: "user:" + h.User.Email,
			Details: map[string]string{"to": to, "reason": h.Reason}}); err != nil {
			return err
		}
	}
	return st.tellMoved(ctx, tx, h.User.Email, to, h.Actor)
}

// free refuses an address that another account has proven. An account that never proved it is made void instead, so that it does
// not block the change.
func (st *Store) free(ctx context.Context, tx *sql.Tx, to string, h accounts.Handover) error {
	var id string
	var verified int64
	err := tx.QueryRowContext(ctx, "SELECT id, verified_at FROM users WHERE email = $1", to).Scan(&id, &verified)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up a user: %w", err)
	}
	if verified != 0 {
		return ErrTaken
	}
	if err := st.accounts.HandOver(ctx, tx, accounts.Handover{User: accounts.User{ID: id, Email: to}, Unproven: true, Reason: h.Reason, Actor: h.Actor,
		After: h.After}); err != nil {
		return err
	}
	if err := joining.StopWaiting(ctx, tx, id); err != nil {
		return err
	}
	freed, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE users SET email = $1, password = ''
		WHERE id = $2 AND email = $3 AND verified_at = 0`, "gone:"+id, id, to))
	if err == nil && !freed {
		err = ErrTaken
	}
	return sqldb.Wrap("free an address", err)
}
