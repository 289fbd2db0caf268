package signin

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
)

// ChangePassword replaces a password by one who knows it. The other sessions of the person end.
func (st *Store) ChangePassword(ctx context.Context, caller accounts.Caller, old, password bridge.Secret) error {
	was, err := st.confirmPassword(ctx, caller, old)
	if err != nil {
		return err
	}
	hash, err := st.hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	return st.outbox.Change(ctx, func(tx *sql.Tx) error {
		if err := accounts.HoldShown(ctx, tx, caller.UserID, was); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE users SET password = $1 WHERE id = $2", hash, caller.UserID); err != nil {
			return fmt.Errorf("change a password: %w", err)
		}
		if err := st.passwordSet(ctx, tx, accounts.User{ID: caller.UserID, Email: caller.Email}, caller.SessionID, "password changed", caller.Actor); err != nil {
			return err
		}
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: "password.change", Target: "user:" + caller.Email})
	})
}

// confirmPassword asks somebody who is signed in for the password once more. Whoever sits at an open session may not
// guess it: the tries of a session have a lane of their own. What it returns is for [holdShown], in the transaction that follows.
func (st *Store) confirmPassword(ctx context.Context, caller accounts.Caller, password bridge.Secret) (accounts.Shown, error) {
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
	lane := passwordLane(caller.Email, "session:"+caller.SessionID)
	if _, err := st.charge(ctx, lane); err != nil {
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
	return accounts.Shown{Password: hash, Both: true}, forgive(ctx, st.db, lane)
}

// accountChanged audits a change of a person's own account, and tells them.
func (st *Store) accountChanged(ctx context.Context, tx *sql.Tx, caller accounts.Caller, action, what string) error {
	if err := audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: action, Target: "user:" + caller.Email}); err != nil {
		return err
	}
	return st.outbox.Notify(ctx, tx, caller.UserID, what, caller.Actor)
}
