package signin

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/lockout"
)

// Change replaces the caller's password, after asking for the old one. Their other sessions end. It fails as
// [factors.Store.ConfirmPassword] does, or with [bridge.CodePasswordLength].
func (st *Passwords) Change(ctx context.Context, caller accounts.Caller, old, password bridge.Secret) error {
	was, err := st.factors.ConfirmPassword(ctx, caller, old)
	if err != nil {
		return err
	}
	hash, err := st.hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	return st.outbox.Change(ctx, func(tx *sql.Tx) error {
		if err := factors.RequireUnchanged(ctx, tx, caller.UserID, was); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE users SET password = $1 WHERE id = $2", hash, caller.UserID); err != nil {
			return fmt.Errorf("change a password: %w", err)
		}
		if err := st.set(ctx, tx, accounts.User{ID: caller.UserID, Email: caller.Email}, caller.SessionID, "password changed", caller.Actor); err != nil {
			return err
		}
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: "password.change", Target: "user:" + caller.Email})
	})
}

// set ends what the old password had opened, and tells the person. The session keep goes on; empty: none.
func (st *Passwords) set(ctx context.Context, tx *sql.Tx, u accounts.User, keep, reason string, actor audit.Actor) error {
	if err := accounts.VoidApprovals(ctx, tx, "user_id = $1", u.ID); err != nil {
		return err
	}
	if err := st.accounts.EndSessions(ctx, tx, reason, actor, "user_id = $1 AND id <> $2", u.ID, keep); err != nil {
		return err
	}
	if err := endPending(ctx, tx, u.ID); err != nil {
		return fmt.Errorf("set a password: %w", err)
	}
	if err := endLinks(ctx, tx, u, PurposeReset); err != nil {
		return fmt.Errorf("set a password: %w", err)
	}
	if err := st.addresses.End(ctx, tx, u.ID); err != nil {
		return err
	}
	if err := lockout.Forgive(ctx, tx, lockout.PasswordLane(u.Email, "")); err != nil {
		return err
	}
	return st.outbox.Notify(ctx, tx, u.ID, "The password of your account was changed", actor)
}
