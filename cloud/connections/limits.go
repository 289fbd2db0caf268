package connections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
)

// LimitSubject is who a limit applies to: a member or a cloud API key, by ID. The key authority has checked that the key belongs to
// the principal's organization.
type LimitSubject struct {
	ID  string
	Key bool
}

// LimitMember gives a member or an API key less of a connection than all others, or nothing. The limit includes a preset's
// scopes. It takes effect at once, also on open calls through the relay.
func (st *Store) LimitMember(ctx context.Context, caller accounts.Caller, id string, who LimitSubject, l api.MemberLimit) (api.SharingMember, error) {
	return st.setLimit(ctx, caller, id, who, LimitTo(l))
}

// decision returns the limit that a connection should set, and the preset that it comes from.
type decision func(Connection) (limit, string, error)

// LimitTo decides on the limit that a request asks for.
func LimitTo(l api.MemberLimit) decision {
	return func(c Connection) (limit, string, error) {
		switch l.Access {
		case AccessNone:
			if l.Preset != "" || len(l.Scopes) > 0 {
				return limit{}, "", bridge.E(bridge.Invalid, bridge.CodeLimitMalformed,
					"a limit of none takes neither a preset nor scopes")
			}
			return limit{access: AccessNone}, "", nil
		case AccessLimited:
			scopes, err := c.ceilingScopes(l.Ceiling)
			if err != nil {
				return limit{}, "", err
			}
			to := limit{AccessLimited, scopes}
			if _, left := (Bounds{ceiling: c.ceiling, own: to}).access(); len(left) == 0 {
				return limit{}, "", bridge.E(bridge.Invalid, bridge.CodeLimitEmpty,
					"nothing of %s lies within the connection's ceiling, which is %s", presetText(l.Preset, scopes), c.ceilingText()).
					WithHint("to let them do nothing: ace connections limit %s MEMBER --none", c.ID)
			}
			return to, l.Preset, nil
		}
		return limit{}, "", bridge.E(bridge.Invalid, bridge.CodeLimitMalformed, "the access of a limit is limited or none").
			WithHint("to remove a limit: ace connections unlimit %s MEMBER", c.ID)
	}
}

// UnlimitMember removes the limit of a member, a former member or an API key, if there is one.
func (st *Store) UnlimitMember(ctx context.Context, caller accounts.Caller, id string, who LimitSubject) (api.SharingMember, error) {
	return st.setLimit(ctx, caller, id, who, func(Connection) (limit, string, error) { return limit{}, "", nil })
}

// setLimit replaces a limit by another; an empty one removes it.
func (st *Store) setLimit(ctx context.Context, caller accounts.Caller, id string, who LimitSubject, decide decision) (api.SharingMember, error) {
	var out api.SharingMember
	err := st.feed.changeTx(ctx, func(tx *sql.Tx) (err error) {
		out, err = st.SetLimitIn(ctx, tx, caller, id, who, decide)
		return err
	})
	return out, err
}

// SetLimitIn sets a limit of a member or an API key within a transaction.
func (st *Store) SetLimitIn(ctx context.Context, tx *sql.Tx, caller accounts.Caller, id string, who LimitSubject, decide decision) (out api.SharingMember, err error) {
	if caller.Principal, err = accounts.Standing(ctx, tx, caller.Principal); err != nil {
		return out, err
	}
	c, err := st.Find(ctx, tx, caller.Principal, id)
	if err != nil {
		return out, err
	}
	if err := errors.Join(caller.RequireShare(), c.requireUsable()); err != nil {
		return out, err
	}
	if who.ID == c.OwnerID {
		return out, c.errOwner()
	}
	was, err := c.sharerBefore(ctx, tx, caller.Principal, who)
	if err != nil {
		return out, err
	}
	to, preset, err := decide(c)
	if err != nil {
		return out, err
	}
	is := was
	is.Preset, is.Ceiling, is.Allowed = preset, nil, nil
	if out = c.sharer(is, to); limitText(out) == limitText(was) {
		return out, nil
	}
	if err := replaceLimit(ctx, tx, c.ID, was, to, preset); err != nil {
		return out, err
	}
	if err := st.feed.changed(ctx, tx, c.OrgID, c.ID, change{lost: to.access == AccessNone && c.visibility == Organization}); err != nil {
		return out, err
	}
	action := "connection.member_limit"
	if to.access == "" {
		action = "connection.member_unlimit"
	}
	return out, audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: action, Target: "connection:" + c.ID,
		Details: map[string]string{"name": c.Name, "member": was.Email, "before": limitText(was), "after": limitText(out)}})
}

// sharerBefore reads the member or key that a limit is for, with their present limit.
func (c Connection) sharerBefore(ctx context.Context, tx *sql.Tx, p accounts.Principal, who LimitSubject) (api.SharingMember, error) {
	for _, query := range []string{selectSharers + "AND m.user_id = $3", selectOutsiders + "AND l.user_id = $3"} {
		m, err := c.scanSharer(tx.QueryRowContext(ctx, query, c.ID, p.OrgID, who.ID))
		if !errors.Is(err, sql.ErrNoRows) {
			return m, sqldb.Wrap("look up a limit", err)
		}
	}
	if !who.Key {
		return api.SharingMember{}, bridge.E(bridge.NotFound, bridge.CodeMemberUnknown,
			"there is no such member in %s, nor an API key", p.Org).
			WithHint("ace org members")
	}
	return c.sharer(api.SharingMember{UserID: who.ID, Email: "key:" + who.ID}, limit{}), nil
}

// limitText describes a limit for the audit log.
func limitText(m api.SharingMember) string {
	if m.Access != AccessLimited {
		return m.Access
	}
	return AccessLimited + " to " + presetText(m.Preset, strings.Join(m.Ceiling, " "))
}

// replaceLimit stores a limit, provided that the present one is still as it was read.
func replaceLimit(ctx context.Context, tx *sql.Tx, connection string, was api.SharingMember, to limit, preset string) error {
	var changed bool
	var err error
	switch {
	case was.Access == AccessFull:
		changed, err = sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO connection_limits (connection_id, user_id, access, preset, ceiling)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT (connection_id, user_id) DO NOTHING`, connection, was.UserID, to.access, preset, to.ceiling))
	case to.access == "":
		changed, err = sqldb.Changed(tx.ExecContext(ctx, `DELETE FROM connection_limits WHERE connection_id = $1 AND user_id = $2
			AND access = $3 AND preset = $4 AND ceiling = $5`, connection, was.UserID, was.Access, was.Preset, strings.Join(was.Ceiling, " ")))
	default:
		changed, err = sqldb.Changed(tx.ExecContext(ctx, `UPDATE connection_limits SET access = $1, preset = $2, ceiling = $3
			WHERE connection_id = $4 AND user_id = $5 AND access = $6 AND preset = $7 AND ceiling = $8`,
			to.access, preset, to.ceiling, connection, was.UserID, was.Access, was.Preset, strings.Join(was.Ceiling, " ")))
	}
	if err != nil {
		return fmt.Errorf("store a limit: %w", err)
	}
	if !changed {
		return errChanged
	}
	return nil
}
