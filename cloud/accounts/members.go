package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

const selectMembers = `SELECT u.id, u.email, u.name, m.role, m.joined_at FROM members m JOIN users u ON u.id = m.user_id WHERE m.org_id = $1 `

// scanMember reads a row of [selectMembers]. What the stores above know of the member is added later.
func scanMember(s sqldb.Row) (api.Member, error) {
	var m api.Member
	var joined int64
	err := s.Scan(&m.ID, &m.Email, &m.Name, &m.Role, &joined)
	m.JoinedAt = time.Unix(joined, 0).UTC()
	return m, err
}

// Members lists a page of the members of the principal's organization, by ID. Only those who may remove a member see how many
// private connections the member has; everyone sees their own.
func (st *Store) Members(ctx context.Context, p Principal, org, cursor string, limit int) ([]api.Member, string, error) {
	if err := p.RequireOrg(org); err != nil {
		return nil, "", err
	}
	if err := p.RequireScope("member:read"); err != nil {
		return nil, "", err
	}
	limit = schema.PageSize(limit)
	rows, err := st.db.QueryContext(ctx, selectMembers+"AND u.id > $2 ORDER BY u.id LIMIT $3", p.OrgID, cursor, limit+1)
	out, next, err := schema.Page(rows, err, limit, scanMember, func(m api.Member) string { return m.ID })
	if err != nil {
		return nil, "", fmt.Errorf("list members: %w", err)
	}
	var all, counted []string
	for _, m := range out {
		all = append(all, m.ID)
		if p.Can("member:remove") || m.ID == p.UserID {
			counted = append(counted, m.ID)
		}
	}
	factors, err := st.above.SecondFactors(ctx, st.db, all)
	if err != nil {
		return nil, "", err
	}
	private, err := st.above.PrivateConnections(ctx, st.db, p.OrgID, counted)
	for i := range out {
		out[i].TwoFactor, out[i].Connections = factors[out[i].ID].On, private[out[i].ID]
	}
	return out, next, err
}

// Member looks up a member of the principal's organization by user ID.
func (st *Store) Member(ctx context.Context, tx *sql.Tx, p Principal, id string) (api.Member, error) {
	m, err := scanMember(tx.QueryRowContext(ctx, selectMembers+"AND u.id = $2", p.OrgID, id))
	if errors.Is(err, sql.ErrNoRows) {
		return m, bridge.E(bridge.NotFound, bridge.CodeMemberUnknown, "there is no such member in %s",
			p.Org).WithHint("ace org members")
	}
	if err != nil {
		return m, fmt.Errorf("look up a member: %w", err)
	}
	factors, err := st.above.SecondFactors(ctx, tx, []string{id})
	if err != nil {
		return m, err
	}
	private, err := st.above.PrivateConnections(ctx, tx, p.OrgID, []string{id})
	m.TwoFactor, m.Connections = factors[id].On, private[id]
	return m, err
}

// requireRank refuses a change that involves a role above the principal's own: only owners make and unmake owners, and
// nobody raises anybody, themselves included, above their own role.
func (p Principal) requireRank(roles ...bridge.Role) error {
	for _, role := range roles {
		if !p.Role.AtLeast(role) {
			return bridge.E(bridge.Forbidden, bridge.CodeRoleAbove, "you are %s %s, and it takes %s %s to do that",
				article(p.Role), p.Role, article(role), role)
		}
	}
	return nil
}

// article is the article of a role in a sentence.
func article(r bridge.Role) string {
	if r == bridge.RoleOwner || r == bridge.RoleAdmin {
		return "an"
	}
	return "a"
}

// CheckRole checks a role that comes from outside.
func CheckRole(role string) (bridge.Role, error) {
	if r := bridge.Role(role); r.Valid() {
		return r, nil
	}
	return "", bridge.E(bridge.Invalid, bridge.CodeRoleUnknown, "the role is owner, admin, member or viewer")
}

// anotherOwner is the SQL condition that organization $1 keeps an owner without member $2.
const anotherOwner = ` (role <> 'owner' OR EXISTS (SELECT 1 FROM members o WHERE o.org_id = $1 AND o.user_id <> $2 AND o.role = 'owner'))`

var errLastOwner = bridge.E(bridge.Conflict, bridge.CodeLastOwner, "this is the organization's only owner").
	WithHint("make somebody else an owner first: ace org role EMAIL owner")

// ChangeRole gives a member another role, which counts from their next request on. It takes the scope member:update and a role at
// least as high as both the old and the new one ([bridge.CodeRoleAbove]). The last owner stays one ([bridge.CodeLastOwner]).
func (st *Store) ChangeRole(ctx context.Context, caller Caller, org, id, role string) (api.Member, error) {
	var out api.Member
	if err := caller.RequireOrg(org); err != nil {
		return out, err
	}
	to, err := CheckRole(role)
	if err != nil {
		return out, err
	}
	err = st.db.Change(ctx, func(tx *sql.Tx) (err error) {
		out, err = st.ChangeRoleIn(ctx, tx, caller, id, to)
		return err
	})
	st.above.RightsChanged()
	if err != nil {
		return api.Member{}, err
	}
	return out, nil
}

// ChangeRoleIn is [Store.ChangeRole] within a transaction.
func (st *Store) ChangeRoleIn(ctx context.Context, tx *sql.Tx, caller Caller, id string, to bridge.Role) (api.Member, error) {
	var err error
	if caller.Principal, err = Standing(ctx, tx, caller.Principal); err != nil {
		return api.Member{}, err
	}
	if err := caller.RequireScope("member:update"); err != nil {
		return api.Member{}, err
	}
	out, err := st.Member(ctx, tx, caller.Principal, id)
	if err != nil {
		return out, err
	}
	from := bridge.Role(out.Role)
	if from == to {
		return out, nil
	}
	if err := caller.requireRank(from, to); err != nil {
		return out, err
	}
	changed, err := SetRole(ctx, tx, caller.OrgID, id, from, to)
	if err != nil {
		return out, err
	}
	if !changed {
		return out, errLastOwner
	}
	out.Role = string(to)
	if err := st.accessChanged(ctx, tx, caller.OrgID, id); err != nil {
		return out, err
	}
	return out, audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: "member.role", Target: "user:" + out.Email,
		Details: map[string]string{"from": string(from), "to": string(to)}})
}

// RemoveMember removes a member from the organization, or lets the caller leave it. With the commit their sessions there end, and
// their approvals and invitations are void. Their private connections stay for an admin to disconnect; shared ones go on working.
func (st *Store) RemoveMember(ctx context.Context, caller Caller, org, id string) (api.RemovedMember, error) {
	var out api.RemovedMember
	if err := caller.RequireOrg(org); err != nil {
		return out, err
	}
	err := st.HandTx(ctx, func(tx *sql.Tx, after *AfterCommit) (err error) {
		out, err = st.RemoveMemberIn(ctx, tx, caller, id, after)
		return err
	})
	if err != nil {
		return api.RemovedMember{}, err
	}
	return out, nil
}

// RemoveMemberIn is [Store.RemoveMember] within a transaction.
func (st *Store) RemoveMemberIn(ctx context.Context, tx *sql.Tx, caller Caller, id string, after *AfterCommit) (out api.RemovedMember, err error) {
	if caller.Principal, err = Standing(ctx, tx, caller.Principal); err != nil {
		return out, err
	}
	action := "member.remove"
	if id == caller.UserID {
		action = "member.leave"
		err = caller.RequirePerson()
	} else {
		err = caller.RequireScope("member:remove")
	}
	if err != nil {
		return out, err
	}
	m, err := st.Member(ctx, tx, caller.Principal, id)
	if err != nil {
		return out, err
	}
	if err := caller.requireRank(bridge.Role(m.Role)); err != nil {
		return out, err
	}
	ended, err := sqldb.Column[string](tx.QueryContext(ctx, "SELECT id FROM members WHERE org_id = $1 AND user_id = $2", caller.OrgID, id))
	if err != nil {
		return out, fmt.Errorf("remove a member: %w", err)
	}
	gone, err := sqldb.Changed(tx.ExecContext(ctx, "DELETE FROM members WHERE org_id = $1 AND user_id = $2 AND"+anotherOwner, caller.OrgID, id))
	if err != nil {
		return out, fmt.Errorf("remove a member: %w", err)
	}
	if !gone {
		return out, errLastOwner
	}
	out = api.RemovedMember{Member: m}
	// Opening a session locks the row of the membership. That is deleted by now, so no new session is missed.
	if err := st.HandOver(ctx, tx, Handover{User: User{ID: id, Email: m.Email}, OrgID: caller.OrgID, Members: ended,
		Reason: "no member any more", Actor: caller.Actor, After: after}); err != nil {
		return out, err
	}
	if out.Connections, err = st.above.Left(ctx, tx, caller.Principal, id); err != nil {
		return out, err
	}
	return out, audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: action, Target: "user:" + m.Email,
		Details: map[string]string{"role": m.Role, "sessions": strconv.FormatInt(after.sessions, 10), "connections": strconv.Itoa(m.Connections)}})
}

// SetRole changes the role of a member, and withdraws invitations that the new role does not cover. It reports false if the role
// is no longer from, or if no owner would be left.
func SetRole(ctx context.Context, tx *sql.Tx, orgID, userID string, from, to bridge.Role) (bool, error) {
	if err := LockOrg(ctx, tx, orgID); err != nil {
		return false, err
	}
	changed, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE members SET role = $3 WHERE org_id = $1 AND user_id = $2 AND role = $4 AND"+anotherOwner,
		orgID, userID, string(to), string(from)))
	if err != nil {
		return false, fmt.Errorf("change a role: %w", err)
	}
	if !changed {
		return false, nil
	}
	return true, withdrawBeyond(ctx, tx, orgID, userID, to)
}

// accessChanged marks a member's role as changed, so that background work withdraws the access tokens that it no longer covers.
func (st *Store) accessChanged(ctx context.Context, tx *sql.Tx, orgID, userID string) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO access_changes (org_id, user_id, changed_at) VALUES ($1, $2, $3)
		ON CONFLICT (org_id, user_id) DO UPDATE SET changed_at = excluded.changed_at`, orgID, userID, st.db.Now().Unix()); err != nil {
		return fmt.Errorf("note a change of access: %w", err)
	}
	return nil
}
