package factors

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/lockout"
)

// The refusals of a code.
var (
	errOTPInvalid = bridge.E(bridge.Unauthenticated, bridge.CodeOTPInvalid, "That code is not right.")
	errOTPUsed    = bridge.E(bridge.Unauthenticated, bridge.CodeOTPUsed, "That code has been used already. Wait for the next one.")
)

// Refusal returns the refusal of a wrong or used code that an error is, or nil.
func Refusal(err error) *bridge.Error {
	for _, refusal := range []*bridge.Error{errOTPInvalid, errOTPUsed} {
		if bridge.CodeOf(err) == refusal.Code {
			return refusal
		}
	}
	return nil
}

// ConfirmPassword asks the person of a session for their password again. Tries are counted by session, so that someone at
// an open browser cannot guess it. The result is for [RequireUnchanged], in the transaction that follows.
//
// It fails with [bridge.CodePasswordWrong], which is audited, [bridge.CodeTooManyRequests], or [bridge.CodeNoPassword] for a person
// who signs in through their organization.
func (st *Store) ConfirmPassword(ctx context.Context, caller accounts.Caller, password bridge.Secret) (accounts.Shown, error) {
	if err := caller.RequireOwnSession(); err != nil {
		return accounts.Shown{}, err
	}
	var hash string
	if err := st.db.QueryRowContext(ctx, "SELECT password FROM users WHERE id = $1", caller.UserID).Scan(&hash); err != nil {
		return accounts.Shown{}, fmt.Errorf("look up a user: %w", err)
	}
	if hash == "" {
		return accounts.Shown{}, bridge.E(bridge.Conflict, bridge.CodeNoPassword,
			"Your account has no password: you sign in through your organization.")
	}
	lane := lockout.PasswordLane(caller.Email, "session:"+caller.SessionID)
	if _, err := st.lockout.Charge(ctx, lane); err != nil {
		return accounts.Shown{}, err
	}
	match, err := st.hasher.Check(ctx, password, hash)
	if err != nil {
		return accounts.Shown{}, err
	}
	if !match {
		refusal := bridge.E(bridge.Forbidden, bridge.CodePasswordWrong, "That is not your password.")
		if err := audit.Record(ctx, st.db.DB, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: "password.confirm",
			Target: "user:" + caller.Email, Outcome: string(refusal.Code)}); err != nil {
			return accounts.Shown{}, err
		}
		return accounts.Shown{}, refusal
	}
	return accounts.Shown{Password: hash, Both: true}, lockout.Forgive(ctx, st.db, lane)
}

// RequireUnchanged locks an account until the transaction ends, and fails if it has changed since the person's proof: the
// password is another, or there is a second factor that they have not shown. The refusal asks them to sign in again
// ([bridge.CodeLoginExpired]). An empty proof always passes.
func RequireUnchanged(ctx context.Context, tx *sql.Tx, userID string, s accounts.Shown) error {
	if s == (accounts.Shown{}) {
		return nil
	}
	same, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE users SET password = password WHERE id = $1 AND password = $2", userID, s.Password))
	if err != nil {
		return fmt.Errorf("hold an account: %w", err)
	}
	on, err := On(ctx, tx, userID)
	if err != nil {
		return err
	}
	if !same || on && !s.Both {
		return errChangedMeanwhile
	}
	return nil
}

var errChangedMeanwhile = bridge.E(bridge.Unauthenticated, bridge.CodeLoginExpired,
	"The account was changed while you signed in. Please sign in again.")

// WithBoth runs a change of the caller's account in a transaction, after their password and a code. The code counts as used
// only if the change succeeds.
func (st *Store) WithBoth(ctx context.Context, caller accounts.Caller, password bridge.Secret, code string, do func(tx *sql.Tx) error) error {
	was, err := st.ConfirmPassword(ctx, caller, password)
	if err != nil {
		return err
	}
	lane := lockout.OTPLane(caller.UserID, "session:"+caller.SessionID)
	if _, err := st.lockout.Charge(ctx, lane); err != nil {
		return err
	}
	return st.outbox.Change(ctx, func(tx *sql.Tx) error {
		if err := RequireUnchanged(ctx, tx, caller.UserID, was); err != nil {
			return err
		}
		if err := st.useOTP(ctx, tx, accounts.User{ID: caller.UserID, Email: caller.Email}, code, caller.Actor); err != nil {
			return err
		}
		if err := do(tx); err != nil {
			return err
		}
		return lockout.Forgive(ctx, tx, lane)
	})
}

// ShowBoth is [Store.CheckOTP] for a sign-in: with the code the person has proven both factors.
func (st *Store) ShowBoth(ctx context.Context, u accounts.User, otp string, device bridge.Secret, actor audit.Actor) (accounts.User, error) {
	err := st.CheckOTP(ctx, u, otp, device, actor)
	u.Shown.Both = err == nil
	return u, err
}

// CheckOTP checks a code of the app or a recovery code, and uses it up. Wrong codes are counted and audited as wrong
// passwords are. device is the cookie of a browser that has signed in before, if any. It fails with [bridge.CodeOTPInvalid],
// [bridge.CodeOTPUsed] or [bridge.CodeTooManyRequests].
func (st *Store) CheckOTP(ctx context.Context, u accounts.User, otp string, device bridge.Secret, actor audit.Actor) error {
	mark, err := st.lockout.KnownMark(ctx, u.ID, device, actor.Address)
	if err != nil {
		return err
	}
	lane := lockout.OTPLane(u.ID, mark)
	locked, err := st.lockout.Charge(ctx, lane)
	if err != nil {
		return err
	}
	var by audit.Actor
	err = st.db.Change(ctx, func(tx *sql.Tx) error {
		var err error
		if by, err = accounts.ActorOf(ctx, tx, u, actor); err != nil {
			return err
		}
		if err := st.useOTP(ctx, tx, u, otp, by); err != nil {
			return err
		}
		return lockout.Forgive(ctx, tx, lane)
	})
	if refusal := Refusal(err); refusal != nil {
		return st.lockout.Refuse(ctx, u.Email, refusal, locked, by)
	}
	return err
}

// accountChanged audits a change of the caller's own account, and tells them.
func (st *Store) accountChanged(ctx context.Context, tx *sql.Tx, caller accounts.Caller, action, what string) error {
	if err := audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: action, Target: "user:" + caller.Email}); err != nil {
		return err
	}
	return st.outbox.Notify(ctx, tx, caller.UserID, what, caller.Actor)
}
