package signin

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
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/schema"
)

// An account moves to another e-mail address in two steps. Its person asks, with password and second factor; a link goes to the
// new address, and one that stops the change to the old. Opening the first while signed in to the account confirms: the account
// gets the new address, and everything handed out before is void.

// AddressLife is the lifetime of the link mailed to a new address.
const AddressLife = 24 * time.Hour

// maxAddressChanges bounds how many changes a person may ask for within [AddressLife].
const maxAddressChanges = 5

// NewAddress is a request for another e-mail address; OTP is needed if the account has a second factor.
type NewAddress struct {
	Email    string
	Password bridge.Secret
	OTP      string
}

// AddressChange is a change of address that is not confirmed yet.
type AddressChange struct {
	UserID    string
	From, To  string
	ExpiresAt time.Time
}

var (
	errAddressTaken = bridge.E(bridge.Conflict, bridge.CodeAddressTaken, "there is another account with the new address").
			WithHint("sign in to that one, or take another address; nothing was changed")
	errNoChange = bridge.E(bridge.NotFound, bridge.CodeAddressChangeUnknown, "no change of the address is waiting")
)

// CanChangeAddress refuses if the cloud sends no mail, or if a sign-in provider decides the address.
func (st *Store) CanChangeAddress(ctx context.Context, p accounts.Principal) error {
	if err := st.addressIsOwn(ctx, st.db, p.UserID); err != nil {
		return err
	}
	if err := p.RequireOwnSession(); err != nil {
		return err
	}
	if !st.outbox.SendsMail() {
		return outbox.ErrNoMail.WithHint("its operator changes the address: ace cloud user set-address %s NEW", p.Email)
	}
	return nil
}

// addressIsOwn refuses a person whom a sign-in provider knows: the provider decides their address.
func (st *Store) addressIsOwn(ctx context.Context, q schema.Queryer, userID string) error {
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

// RequestAddress asks for another address for the caller's account. It does not check whether another account has it: only
// the recipient of the mail may learn that.
func (st *Store) RequestAddress(ctx context.Context, caller accounts.Caller, n NewAddress) (AddressChange, error) {
	none := AddressChange{}
	if err := st.CanChangeAddress(ctx, caller.Principal); err != nil {
		return none, err
	}
	to, err := bridge.CanonicalEmail(n.Email)
	if err != nil {
		return none, err
	}
	if to == caller.Email {
		return none, bridge.E(bridge.Invalid, bridge.CodeAddressSame, "that is the address of your account already")
	}
	account, err := st.accounts.Account(ctx, caller.UserID)
	if err != nil {
		return none, err
	}
	change := AddressChange{UserID: caller.UserID, From: caller.Email, To: to}
	ask := func(tx *sql.Tx) error { return st.askAddress(ctx, tx, &change, caller.Actor) }
	switch {
	case !account.TwoFactor:
		var was accounts.Shown
		if was, err = st.confirmPassword(ctx, caller, n.Password); err != nil {
			break
		}
		was.Both = false // the account has had no second factor
		err = st.outbox.Change(ctx, func(tx *sql.Tx) error {
			if err := accounts.HoldShown(ctx, tx, caller.UserID, was); err != nil {
				return err
			}
			return ask(tx)
		})
	case n.OTP == "":
		err = bridge.E(bridge.Forbidden, bridge.CodeOTPRequired, "your account has two-factor authentication: a code is needed, too").
			WithHint("give the six digits of your authenticator app, or a recovery code")
	default:
		err = st.withBothFactors(ctx, caller, n.Password, n.OTP, ask)
	}
	if refusal := refusals[bridge.CodeOf(err)]; refusal != nil { // the session is good; it is the code that is not
		err = bridge.E(bridge.Forbidden, refusal.Code, "%s", refusal.Detail)
	}
	if err != nil {
		return none, err
	}
	return change, nil
}

// askAddress stores a pending change in place of an earlier one, and mails both addresses.
func (st *Store) askAddress(ctx context.Context, tx *sql.Tx, change *AddressChange, actor audit.Actor) error {
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
		change.UserID, now.Add(-AddressLife).Unix()).Scan(&asked); err != nil {
		return fmt.Errorf("count the changes of an address: %w", err)
	}
	if asked >= maxAddressChanges {
		return &bridge.Error{Kind: bridge.TooMany, Code: bridge.CodeTooManyRequests,
			Detail: "Too many changes of the address were asked for.",
			Hint:   "Wait a day.", RetryAfter: AddressLife}
	}
	if err := st.endAddressChanges(ctx, tx, change.UserID); err != nil {
		return err
	}
	token, stop := bridge.NewSecret(bridge.RandomToken(32)), bridge.NewSecret(bridge.RandomToken(32))
	expires := now.Add(AddressLife)
	change.ExpiresAt = expires.UTC().Truncate(time.Second)
	if _, err := tx.ExecContext(ctx, `INSERT INTO address_changes
		(hash, stop, user_id, from_email, to_email, created_at, expires_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0)`,
		schema.Hash(token), schema.Hash(stop), change.UserID, change.From, change.To, now.Unix(), expires.Unix()); err != nil {
		return fmt.Errorf("keep a change of an address: %w", err)
	}
	for _, m := range []outbox.Message{st.newAddressMail(*change, token, actor), st.oldAddressMail(*change, stop, actor)} {
		if err := st.outbox.Queue(ctx, tx, m); err != nil {
			return err
		}
	}
	return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "address.ask", Target: "user:" + change.From,
		Details: map[string]string{"to": change.To}})
}

// endAddressChanges makes an account's pending changes of address void.
func (st *Store) endAddressChanges(ctx context.Context, tx *sql.Tx, userID string) error {
	_, err := tx.ExecContext(ctx, "UPDATE address_changes SET ended_at = $1 WHERE user_id = $2 AND ended_at = 0",
		st.db.Now().Unix(), userID)
	return sqldb.Wrap("end a change of an address", err)
}

func (st *Store) waitingAddress(ctx context.Context, column, value string) (AddressChange, error) {
	var c AddressChange
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

// PendingAddress is the caller's pending change of address.
func (st *Store) PendingAddress(ctx context.Context, p accounts.Principal) (AddressChange, error) {
	if p.RequireOwnSession() != nil { // a provider's session is for its organization
		return AddressChange{}, errNoChange
	}
	return st.waitingAddress(ctx, "user_id", p.UserID)
}

// OfferedAddress is the change that a link belongs to; stop means the link mailed to the old address. The link is not used up,
// since programs that scan mail open links too.
func (st *Store) OfferedAddress(ctx context.Context, token bridge.Secret, stop bool) (AddressChange, error) {
	column := "hash"
	if stop {
		column = "stop"
	}
	c, err := st.waitingAddress(ctx, column, schema.Hash(token))
	if bridge.CodeOf(err) == errNoChange.Code {
		err = errLink
	}
	return c, err
}

// StopAddress stops a change with the link that was mailed to the old address.
func (st *Store) StopAddress(ctx context.Context, token bridge.Secret, actor audit.Actor) error {
	return st.stopAddress(ctx, "stop", schema.Hash(token), errLink, actor)
}

// CancelAddress cancels the caller's pending change.
func (st *Store) CancelAddress(ctx context.Context, caller accounts.Caller) error {
	if err := caller.RequireOwnSession(); err != nil {
		return err
	}
	return st.stopAddress(ctx, "user_id", caller.UserID, errNoChange, caller.Actor)
}

func (st *Store) stopAddress(ctx context.Context, column, value string, refusal error, actor audit.Actor) error {
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
		by, err := accountActor(ctx, tx, u, actor)
		if err != nil {
			return err
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: by, Action: "address.stop", Target: "user:" + u.Email,
			Details: map[string]string{"to": to}})
	})
}

// ConfirmAddress gives the caller's account the address that the link was mailed to. Everything handed out before is void,
// including this session; the returned one replaces it.
func (st *Store) ConfirmAddress(ctx context.Context, caller accounts.Caller, token bridge.Secret) (accounts.Session, error) {
	if err := caller.RequireOwnSession(); err != nil {
		return accounts.Session{}, err
	}
	var s accounts.Session
	err := st.accounts.HandTx(ctx, func(tx *sql.Tx, after *accounts.AfterCommit) error {
		if _, err := st.sessions.Session(ctx, tx, "s.id", caller.SessionID); err != nil {
			return err
		}
		if err := st.addressIsOwn(ctx, tx, caller.UserID); err != nil {
			return err
		}
		var from, to string
		err := tx.QueryRowContext(ctx, `UPDATE address_changes SET ended_at = $1
			WHERE hash = $2 AND user_id = $3 AND ended_at = 0 AND expires_at > $1 RETURNING from_email, to_email`, st.db.Now().Unix(), schema.Hash(token), caller.UserID).Scan(&from, &to)
		if errors.Is(err, sql.ErrNoRows) {
			return errLink
		}
		if err != nil {
			return fmt.Errorf("confirm an address: %w", err)
		}
		h := accounts.Handover{User: accounts.User{ID: caller.UserID, Email: from}, Reason: "address changed", Actor: caller.Actor, After: after}
		if err := st.moveAddress(ctx, tx, to, h); err != nil {
			return err
		}
		s, err = st.sessions.OpenIn(ctx, tx, accounts.Opening{UserID: caller.UserID, Org: caller.Org, Method: accounts.MethodBrowser}, caller.Actor)
		return err
	})
	if sqldb.IsUnique(err) {
		err = errAddressTaken
	}
	if err != nil {
		return accounts.Session{}, err
	}
	return s, nil
}

// SetAddress gives an account another address that the operator vouches for. Everything handed out before is void.
func (st *Store) SetAddress(ctx context.Context, from, to string, actor audit.Actor) (accounts.User, error) {
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
		return st.moveAddress(ctx, tx, to, accounts.Handover{User: u, Reason: "address changed by the operator", Actor: actor, After: after})
	})
	if sqldb.IsUnique(err) {
		err = errAddressTaken
	}
	if err != nil {
		return accounts.User{}, err
	}
	u.Email = to
	return u, nil
}

// moveAddress gives an account another address. Password and second factor stay: the account is the same person's.
func (st *Store) moveAddress(ctx context.Context, tx *sql.Tx, to string, h accounts.Handover) error {
	if err := st.freeAddress(ctx, tx, to, h); err != nil {
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
		return errLink
	}
	if st.keys != nil {
		owned, err := st.keys.ReownIn(ctx, tx, h.User.Email, to)
		if err != nil {
			return err
		}
		h.After.Keys = append(h.After.Keys, owned...)
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

// freeAddress refuses an address that another account has proven. An account that never proved it is made void instead, and
// does not block the change.
func (st *Store) freeAddress(ctx context.Context, tx *sql.Tx, to string, h accounts.Handover) error {
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
		return errAddressTaken
	}
	if err := st.accounts.HandOver(ctx, tx, accounts.Handover{User: accounts.User{ID: id, Email: to}, Unproven: true, Reason: h.Reason, Actor: h.Actor,
		After: h.After}); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM waiting_members WHERE user_id = $1", id); err != nil {
		return fmt.Errorf("free an address: %w", err)
	}
	freed, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE users SET email = $1, password = ''
		WHERE id = $2 AND email = $3 AND verified_at = 0`, "gone:"+id, id, to))
	if err == nil && !freed {
		err = errAddressTaken
	}
	return sqldb.Wrap("free an address", err)
}
