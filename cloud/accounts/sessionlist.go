package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

// maxSessions bounds a list of sessions.
const maxSessions = 200

// reach is the ID of the organization whose sessions the principal may see and end; empty: all. A session that a sign-in provider
// opened reaches only the provider's organization.
func (p Principal) reach() string {
	if p.Provider != "" {
		return p.OrgID
	}
	return ""
}

// Sessions lists the principal's live sessions, newest first, at most 200.
func (st *Sessions) Sessions(ctx context.Context, p Principal) ([]api.Session, error) {
	rows, err := st.db.QueryContext(ctx, `SELECT s.id, s.method, o.slug, s.address, s.user_agent, s.created_at, s.expires_at
		FROM sessions s JOIN organizations o ON o.id = s.org_id
		WHERE s.user_id = $1 AND s.ended_at = 0 AND s.expires_at > $2 AND ($3 = '' OR s.org_id = $3) ORDER BY s.id DESC LIMIT $4`,
		p.UserID, st.db.Now().Unix(), p.reach(), maxSessions)
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (api.Session, error) {
		var s api.Session
		var created, expires int64
		if err := row.Scan(&s.ID, &s.Method, &s.Org, &s.Address, &s.UserAgent, &created, &expires); err != nil {
			return s, err
		}
		s.CreatedAt, s.ExpiresAt, s.Current = *schema.At(created), *schema.At(expires), s.ID == p.SessionID
		return s, nil
	})
	return out, sqldb.Wrap("list sessions", err)
}

// EndSessionByID ends one session of the caller. One that they cannot reach is refused with [bridge.CodeSessionUnknown].
func (st *Sessions) EndSessionByID(ctx context.Context, caller Caller, id string) error {
	return st.db.Change(ctx, func(tx *sql.Tx) error {
		var one int
		err := tx.QueryRowContext(ctx, `SELECT 1 FROM sessions WHERE id = $1 AND user_id = $2 AND ended_at = 0
			AND ($3 = '' OR org_id = $3)`, id, caller.UserID, caller.reach()).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return bridge.E(bridge.NotFound, bridge.CodeSessionUnknown, "there is no such session, or it has ended")
		}
		if err != nil {
			return fmt.Errorf("end a session: %w", err)
		}
		caller.Actor.Org = "" // that of the session
		return endSession(ctx, tx, id, "signed out", st.db.Now(), caller.Actor)
	})
}

// EndSessions ends all sessions of the caller, and this one only if current is true.
func (st *Sessions) EndSessions(ctx context.Context, caller Caller, current bool) error {
	keep := caller.SessionID
	if current {
		keep = ""
	}
	return st.db.Change(ctx, func(tx *sql.Tx) error {
		if err := VoidApprovals(ctx, tx, "user_id = $1 AND ($2 = '' OR org_id = $2)", caller.UserID, caller.reach()); err != nil {
			return err
		}
		return st.accounts.EndSessions(ctx, tx, "signed out everywhere", caller.Actor, "user_id = $1 AND id <> $2 AND ($3 = '' OR org_id = $3)",
			caller.UserID, keep, caller.reach())
	})
}

// VoidApprovals makes void the unredeemed device logins and codes that an SQL condition selects. It waits for a program that is
// redeeming one, so call it before [Store.EndSessions], which then sees the session that was opened.
func VoidApprovals(ctx context.Context, tx *sql.Tx, condition string, args ...any) error {
	for _, statement := range []string{
		"UPDATE devices SET state = 'denied' WHERE state = 'approved' AND " + condition, //nolint:gosec // conditions of this package
		"UPDATE codes SET expires_at = created_at WHERE used_at = 0 AND " + condition,   //nolint:gosec // conditions of this package
	} {
		if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
			return fmt.Errorf("void approvals: %w", err)
		}
	}
	return nil
}

// EndSessions ends the live sessions that an SQL condition selects, each in the audit log of its organization.
func (st *Store) EndSessions(ctx context.Context, tx *sql.Tx, reason string, actor audit.Actor, condition string, args ...any) error {
	ids, err := sqldb.Column[string](tx.QueryContext(ctx, "SELECT id FROM sessions WHERE ended_at = 0 AND "+condition, args...)) //nolint:gosec // conditions of this package
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	actor.Org = ""
	for _, id := range ids {
		if err := endSession(ctx, tx, id, reason, st.db.Now(), actor); err != nil {
			return err
		}
	}
	return nil
}

// SwitchSession moves the caller's session to another of their organizations. Session tokens that were signed before stop working,
// since they name an earlier move ([Principal.Moves]).
func (st *Sessions) SwitchSession(ctx context.Context, caller Caller, org string) (Principal, error) {
	if err := caller.RequireOwnSession(); err != nil {
		return Principal{}, err
	}
	err := st.db.Change(ctx, func(tx *sql.Tx) error {
		var orgID, member string
		err := tx.QueryRowContext(ctx, `SELECT o.id, m.id FROM organizations o JOIN members m ON m.org_id = o.id
			WHERE o.slug = $1 AND m.user_id = $2 AND NOT `+providerRequired, org, caller.UserID).Scan(&orgID, &member)
		if errors.Is(err, sql.ErrNoRows) && org == "" {
			return bridge.E(bridge.Invalid, bridge.CodeOrgMissing, "say which organization to switch to").WithHint("ace org list")
		}
		if errors.Is(err, sql.ErrNoRows) {
			return whyNoSession(ctx, tx, caller.UserID, org)
		}
		if err != nil {
			return fmt.Errorf("switch a session: %w", err)
		}
		if err := lockMember(ctx, tx, orgID, caller.UserID); err != nil {
			return err
		}
		moved, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE sessions SET org_id = $1, member_id = $5, moves = moves + 1
			WHERE id = $2 AND user_id = $3 AND moves = $4 AND ended_at = 0`, orgID, caller.SessionID, caller.UserID, caller.Moves, member))
		if err != nil {
			return fmt.Errorf("switch a session: %w", err)
		}
		if !moved {
			return errSession
		}
		by := caller.Actor
		by.Org = org
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: by, Action: "session.switch", Target: "session:" + caller.SessionID,
			Details: map[string]string{"from": caller.Org}})
	})
	if err != nil {
		return Principal{}, err
	}
	return st.SessionByID(ctx, caller.SessionID)
}
