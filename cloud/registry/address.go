package registry

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
	errAddressTaken = bridge.E(bridge.Conflict, "address_taken", "there is another account with the new address").
			WithHint("sign in to that one, or take another address; nothing was changed")
	errNoChange = bridge.E(bridge.NotFound, api.CodeNoAddressChange, "no change of the address is waiting")
)

// CanChangeAddress refuses if the cloud sends no mail, or if a sign-in provider decides the address.
func (r *Registry) CanChangeAddress(ctx context.Context, p Principal) error {
	if err := r.addressIsOwn(ctx, r.db, p.UserID); err != nil {
		return err
	}
	if err := p.NeedOwn(); err != nil {
		return err
	}
	if r.CanMail() != nil {
		return errNoMail.WithHint("its operator changes the address: ace cloud user set-address %s NEW", p.Email)
	}
	return nil
}

// addressIsOwn refuses a person whom a sign-in provider knows: the provider decides their address.
func (r *Registry) addressIsOwn(ctx context.Context, q querier, userID string) error {
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
	refusal := bridge.E(bridge.Forbidden, "address_of_provider", "the sign-in provider of %s decides your address", org)
	if password != "" {
		return refusal.WithHint("have it changed there, and ask the operator of this cloud to follow: ace cloud user set-address OLD NEW")
	}
	return refusal.WithHint("have it changed there, and sign in through %s again: the account here follows", org)
}

// RequestAddress asks for another address for the caller's account. It does not check whether another account has it: only
// the recipient of the mail may learn that.
func (r *Registry) RequestAddress(ctx context.Context, caller Caller, n NewAddress) (AddressChange, error) {
	none := AddressChange{}
	if err := r.CanChangeAddress(ctx, caller.Principal); err != nil {
		return none, err
	}
	to, err := bridge.CanonicalEmail(n.Email)
	if err != nil {
		return none, err
	}
	if to == caller.Email {
		return none, bridge.E(bridge.Invalid, "address_same", "that is the address of your account already")
	}
	account, err := r.Account(ctx, caller.UserID)
	if err != nil {
		return none, err
	}
	change := AddressChange{UserID: caller.UserID, From: caller.Email, To: to}
	ask := func(tx *sql.Tx) error { return r.askAddress(ctx, tx, &change, caller.Actor) }
	switch {
	case !account.TwoFactor:
		var was shown
		if was, err = r.confirmPassword(ctx, caller, n.Password); err != nil {
			break
		}
		was.both = false // the account has had no second factor
		err = r.mailTx(ctx, func(tx *sql.Tx) error {
			if err := holdShown(ctx, tx, caller.UserID, was); err != nil {
				return err
			}
			return ask(tx)
		})
	case n.OTP == "":
		err = bridge.E(bridge.Forbidden, api.CodeOTPRequired, "your account has two-factor authentication: a code is needed, too").
			WithHint("give the six digits of your authenticator app, or a recovery code")
	default:
		err = r.withBothFactors(ctx, caller, n.Password, n.OTP, ask)
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
func (r *Registry) askAddress(ctx context.Context, tx *sql.Tx, change *AddressChange, actor audit.Actor) error {
	now := r.cfg.Now()
	held, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE users SET email = email WHERE id = $1 AND email = $2",
		change.UserID, change.From))
	if err != nil {
		return fmt.Errorf("change an address: %w", err)
	}
	if !held {
		return bridge.E(bridge.Conflict, "changed_meanwhile", "the address was changed at the same time").WithHint("look at it again")
	}
	var asked int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM address_changes WHERE user_id = $1 AND created_at > $2",
		change.UserID, now.Add(-AddressLife).Unix()).Scan(&asked); err != nil {
		return fmt.Errorf("count the changes of an address: %w", err)
	}
	if asked >= maxAddressChanges {
		return &bridge.Error{Kind: bridge.TooMany, Code: "too_many_requests", Detail: "Too many changes of the address were asked for.",
			Hint: "Wait a day.", RetryAfter: AddressLife}
	}
	if err := r.endAddressChanges(ctx, tx, change.UserID); err != nil {
		return err
	}
	token, stop := bridge.NewSecret(bridge.RandomToken(32)), bridge.NewSecret(bridge.RandomToken(32))
	expires := now.Add(AddressLife)
	change.ExpiresAt = expires.UTC().Truncate(time.Second)
	if _, err := tx.ExecContext(ctx, `INSERT INTO address_changes
		(hash, stop, user_id, from_email, to_email, created_at, expires_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0)`,
		hashed(token), hashed(stop), change.UserID, change.From, change.To, now.Unix(), expires.Unix()); err != nil {
		return fmt.Errorf("keep a change of an address: %w", err)
	}
	for _, m := range []queued{r.newAddressMail(*change, token, actor), r.oldAddressMail(*change, stop, actor)} {
		if err := r.queueMail(ctx, tx, m); err != nil {
			return err
		}
	}
	return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "address.ask", Target: "user:" + change.From,
		Details: map[string]string{"to": change.To}})
}

// endAddressChanges makes an account's pending changes of address void.
func (r *Registry) endAddressChanges(ctx context.Context, tx *sql.Tx, userID string) error {
	_, err := tx.ExecContext(ctx, "UPDATE address_changes SET ended_at = $1 WHERE user_id = $2 AND ended_at = 0",
		r.cfg.Now().Unix(), userID)
	return wrapped("end a change of an address", err)
}

func (r *Registry) waitingAddress(ctx context.Context, column, value string) (AddressChange, error) {
	var c AddressChange
	var expires int64
	err := r.db.QueryRowContext(ctx, `SELECT a.user_id, a.from_email, a.to_email, a.expires_at FROM address_changes a
		JOIN users u ON u.id = a.user_id AND u.email = a.from_email WHERE a.`+column+` = $1 AND a.ended_at = 0 AND a.expires_at > $2`, //nolint:gosec // columns of this package
		value, r.cfg.Now().Unix()).Scan(&c.UserID, &c.From, &c.To, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return c, errNoChange
	}
	if err != nil {
		return c, fmt.Errorf("look up a change of an address: %w", err)
	}
	c.ExpiresAt = *at(expires)
	return c, nil
}

// PendingAddress is the caller's pending change of address.
func (r *Registry) PendingAddress(ctx context.Context, p Principal) (AddressChange, error) {
	if p.NeedOwn() != nil { // a provider's session is for its organization
		return AddressChange{}, errNoChange
	}
	return r.waitingAddress(ctx, "user_id", p.UserID)
}

// OfferedAddress is the change that a link belongs to; stop means the link mailed to the old address. The link is not used up,
// since programs that scan mail open links too.
func (r *Registry) OfferedAddress(ctx context.Context, token bridge.Secret, stop bool) (AddressChange, error) {
	column := "hash"
	if stop {
		column = "stop"
	}
	c, err := r.waitingAddress(ctx, column, hashed(token))
	if bridge.CodeOf(err) == errNoChange.Code {
		err = errLink
	}
	return c, err
}

// StopAddress stops a change with the link that was mailed to the old address.
func (r *Registry) StopAddress(ctx context.Context, token bridge.Secret, actor audit.Actor) error {
	return r.stopAddress(ctx, "stop", hashed(token), errLink, actor)
}

// CancelAddress cancels the caller's pending change.
func (r *Registry) CancelAddress(ctx context.Context, caller Caller) error {
	if err := caller.NeedOwn(); err != nil {
		return err
	}
	return r.stopAddress(ctx, "user_id", caller.UserID, errNoChange, caller.Actor)
}

func (r *Registry) stopAddress(ctx context.Context, column, value string, refusal error, actor audit.Actor) error {
	now := r.cfg.Now()
	return r.tx(ctx, func(tx *sql.Tx) error {
		var u User
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
func (r *Registry) ConfirmAddress(ctx context.Context, caller Caller, token bridge.Secret) (Session, error) {
	if err := caller.NeedOwn(); err != nil {
		return Session{}, err
	}
	var s Session
	err := r.handTx(ctx, func(tx *sql.Tx, after *settled) error {
		if _, err := r.session(ctx, tx, "s.id", caller.SessionID); err != nil {
			return err
		}
		if err := r.addressIsOwn(ctx, tx, caller.UserID); err != nil {
			return err
		}
		var from, to string
		err := tx.QueryRowContext(ctx, `UPDATE address_changes SET ended_at = $1
			WHERE hash = $2 AND user_id = $3 AND ended_at = 0 AND expires_at > $1 RETURNING from_email, to_email`, r.cfg.Now().Unix(), hashed(token), caller.UserID).Scan(&from, &to)
		if errors.Is(err, sql.ErrNoRows) {
			return errLink
		}
		if err != nil {
			return fmt.Errorf("confirm an address: %w", err)
		}
		h := Handover{User: User{ID: caller.UserID, Email: from}, Reason: "address changed", Actor: caller.Actor, after: after}
		if err := r.moveAddress(ctx, tx, to, h); err != nil {
			return err
		}
		s, err = r.openSession(ctx, tx, opening{userID: caller.UserID, org: caller.Org, method: MethodBrowser}, caller.Actor)
		return err
	})
	if sqldb.IsUnique(err) {
		err = errAddressTaken
	}
	if err != nil {
		return Session{}, err
	}
	return s, nil
}

// SetAddress gives an account another address that the operator vouches for. Everything handed out before is void.
func (r *Registry) SetAddress(ctx context.Context, from, to string, actor audit.Actor) (User, error) {
	to, err := bridge.CanonicalEmail(to)
	if err != nil {
		return User{}, err
	}
	u, err := r.UserByEmail(ctx, from)
	if err != nil {
		return User{}, err
	}
	if u.Email == to {
		return User{}, bridge.E(bridge.Invalid, "address_same", "that is the address of the account already")
	}
	err = r.handTx(ctx, func(tx *sql.Tx, after *settled) error {
		proven, err := isProven(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		if !proven {
			return bridge.E(bridge.Conflict, CodeUnverified, "nobody has proven the address %s, so the account does not belong to anybody yet", u.Email).
				WithHint("ace cloud user add --email %s --org SLUG", to)
		}
		return r.moveAddress(ctx, tx, to, Handover{User: u, Reason: "address changed by the operator", Actor: actor, after: after})
	})
	if sqldb.IsUnique(err) {
		err = errAddressTaken
	}
	if err != nil {
		return User{}, err
	}
	u.Email = to
	return u, nil
}

// moveAddress gives an account another address. Password and second factor stay: the account is the same person's.
func (r *Registry) moveAddress(ctx context.Context, tx *sql.Tx, to string, h Handover) error {
	if err := r.freeAddress(ctx, tx, to, h); err != nil {
		return err
	}
	h.Own = true
	if err := r.handOver(ctx, tx, h); err != nil {
		return err
	}
	moved, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE users SET email = $1 WHERE id = $2 AND email = $3", to, h.User.ID, h.User.Email))
	if err != nil {
		return fmt.Errorf("change an address: %w", err)
	}
	if !moved {
		return errLink
	}
	if r.keys != nil {
		owned, err := r.keys.ReownIn(ctx, tx, h.User.Email, to)
		if err != nil {
			return err
		}
		h.after.keys = append(h.after.keys, owned...)
	}
	orgs, err := texts(tx.QueryContext(ctx, `SELECT o.slug FROM members m JOIN organizations o ON o.id = m.org_id
		WHERE m.user_id = $1 ORDER BY o.slug`, h.User.ID))
	if err != nil {
		return fmt.Errorf("change an address: %w", err)
	}
	for _, org := range orgs {
		by := h.Actor
		by.Org = org
		if err := audit.Write(ctx, tx, r.cfg.Now(), audit.Entry{Actor: by, Action: "address.change", Target: "user:" + h.User.Email,
			Details: map[string]string{"to": to, "reason": h.Reason}}); err != nil {
			return err
		}
	}
	return r.tellMoved(ctx, tx, h.User.Email, to, h.Actor)
}

// freeAddress refuses an address that another account has proven. An account that never proved it is made void instead, and
// does not block the change.
func (r *Registry) freeAddress(ctx context.Context, tx *sql.Tx, to string, h Handover) error {
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
	if err := r.handOver(ctx, tx, Handover{User: User{ID: id, Email: to}, Unproven: true, Reason: h.Reason, Actor: h.Actor,
		after: h.after}); err != nil {
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
	return wrapped("free an address", err)
}
