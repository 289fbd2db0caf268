package registry

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
)

// ChangePassword replaces a password by one who knows it. The other sessions of the person end.
func (r *Registry) ChangePassword(ctx context.Context, caller Caller, old, password bridge.Secret) error {
	was, err := r.confirmPassword(ctx, caller, old)
	if err != nil {
		return err
	}
	hash, err := r.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return r.mailTx(ctx, func(tx *sql.Tx) error {
		if err := holdShown(ctx, tx, caller.UserID, was); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE users SET password = $1 WHERE id = $2", hash, caller.UserID); err != nil {
			return fmt.Errorf("change a password: %w", err)
		}
		if err := r.passwordSet(ctx, tx, User{ID: caller.UserID, Email: caller.Email}, caller.SessionID, "password changed", caller.Actor); err != nil {
			return err
		}
		return audit.Write(ctx, tx, r.cfg.Now(), audit.Entry{Actor: caller.Actor, Action: "password.change", Target: "user:" + caller.Email})
	})
}

// confirmPassword asks somebody who is signed in for the password once more. Whoever sits at an open session may not
// guess it: the tries of a session have a lane of their own. What it returns is for [holdShown], in the transaction that follows.
func (r *Registry) confirmPassword(ctx context.Context, caller Caller, password bridge.Secret) (shown, error) {
	if err := caller.NeedOwn(); err != nil {
		return shown{}, err
	}
	var hash string
	if err := r.db.QueryRowContext(ctx, "SELECT password FROM users WHERE id = $1", caller.UserID).Scan(&hash); err != nil {
		return shown{}, fmt.Errorf("look up a user: %w", err)
	}
	if hash == "" {
		return shown{}, bridge.E(bridge.Conflict, "no_password", "Your account has no password: you sign in through your organization.")
	}
	lane := passwordLane(caller.Email, "session:"+caller.SessionID)
	if _, err := r.charge(ctx, lane); err != nil {
		return shown{}, err
	}
	match, err := r.hasher.check(ctx, password, hash)
	if err != nil {
		return shown{}, err
	}
	if !match {
		refusal := bridge.E(bridge.Forbidden, "password_wrong", "That is not your password.")
		if err := audit.Record(ctx, r.db, r.cfg.Now(), audit.Entry{Actor: caller.Actor, Action: "password.confirm",
			Target: "user:" + caller.Email, Outcome: refusal.Code}); err != nil {
			return shown{}, err
		}
		return shown{}, refusal
	}
	return shown{hash, true}, forgive(ctx, r.db, lane)
}

// accountChanged audits a change of a person's own account, and tells them.
func (r *Registry) accountChanged(ctx context.Context, tx *sql.Tx, caller Caller, action, what string) error {
	if err := audit.Write(ctx, tx, r.cfg.Now(), audit.Entry{Actor: caller.Actor, Action: action, Target: "user:" + caller.Email}); err != nil {
		return err
	}
	return r.notify(ctx, tx, caller.UserID, what, caller.Actor)
}
