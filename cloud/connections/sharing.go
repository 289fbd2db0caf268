package connections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// Sharing lists who may use a connection and with which access, a page of members at a time. API keys and former members with a
// limit are on the last page. Members who may not change the sharing are shown only themselves.
func (st *Store) Sharing(ctx context.Context, p accounts.Principal, id, cursor string, limit int) (api.Sharing, error) {
	var out api.Sharing
	c, err := st.Find(ctx, st.db, p, id)
	if err != nil {
		return out, err
	}
	out = api.Sharing{Visibility: c.visibility, Members: []api.SharingMember{}}
	if c.ceiling != "" {
		out.CeilingPreset, out.Ceiling = c.preset, strings.Fields(c.ceiling)
	}
	only := p.UserID
	if p.Can("connection:share") {
		only = ""
		if err := st.sharingTotals(ctx, c, &out); err != nil {
			return out, err
		}
	}
	limit = schema.PageSize(limit)
	rows, err := st.db.QueryContext(ctx, selectSharers+"AND m.user_id > $3 AND ($4 = '' OR m.user_id = $4) ORDER BY m.user_id LIMIT $5",
		c.ID, p.OrgID, cursor, only, limit+1)
	out.Members, out.NextCursor, err = schema.Page(rows, err, limit, c.scanSharer, func(m api.SharingMember) string { return m.UserID })
	if err != nil || out.NextCursor != "" {
		return out, sqldb.Wrap("list who uses a connection", err)
	}
	rows, err = st.db.QueryContext(ctx, selectOutsiders+"AND ($3 = '' OR l.user_id = $3) ORDER BY l.user_id LIMIT $4", c.ID, p.OrgID, only, schema.MaxLimit+1)
	others, _, err := schema.Page(rows, err, schema.MaxLimit, c.scanSharer, func(m api.SharingMember) string { return m.UserID })
	out.Members = append(out.Members, others...)
	return out, sqldb.Wrap("list who uses a connection", err)
}

// sharers counts the members, without the owner, who see a connection while it is shared.
const sharers = `(SELECT COUNT(*) FROM members m WHERE m.org_id = c.org_id AND m.user_id <> c.owner_id
	AND NOT EXISTS (SELECT 1 FROM connection_limits l WHERE l.connection_id = c.id AND l.user_id = m.user_id AND l.access = 'none'))`

// Users counts the people who would lose a connection if it were deleted, its owner included.
func (st *Store) Users(ctx context.Context, p accounts.Principal, id string) (int, error) {
	c, err := st.Find(ctx, st.db, p, id)
	if err != nil {
		return 0, err
	}
	n := 0
	if c.visibility == Organization {
		if err := st.db.QueryRowContext(ctx, "SELECT "+sharers+" FROM connections c WHERE c.id = $1", c.ID).Scan(&n); err != nil {
			return 0, fmt.Errorf("count who uses a connection: %w", err)
		}
	}
	if !c.orphaned && accounts.IsPerson(c.Owner) {
		n++
	}
	return n, nil
}

// sharingTotals adds the parts that only members who may share are shown.
func (st *Store) sharingTotals(ctx context.Context, c Connection, out *api.Sharing) error {
	var presets string
	err := st.db.QueryRowContext(ctx, "SELECT c.presets, "+sharers+" FROM connections c WHERE c.id = $1", c.ID).Scan(&presets, &out.People)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrConnection
	}
	if err != nil {
		return fmt.Errorf("count who uses a connection: %w", err)
	}
	if presets != "" {
		out.Presets = strings.Split(presets, "\n")
	}
	return nil
}

// The members of an organization ($2), and the outsiders with a limit, each with their access to a connection ($1).
const (
	selectSharers = `SELECT u.id, u.email, u.name, m.role, COALESCE(l.access, ''), COALESCE(l.preset, ''), COALESCE(l.ceiling, '')
		FROM members m JOIN users u ON u.id = m.user_id LEFT JOIN connection_limits l ON l.connection_id = $1 AND l.user_id = m.user_id
		WHERE m.org_id = $2 `
	selectOutsiders = `SELECT l.user_id, COALESCE(u.email, 'key:' || l.user_id), COALESCE(u.name, ''), '', l.access, l.preset, l.ceiling
		FROM connection_limits l LEFT JOIN users u ON u.id = l.user_id
		WHERE l.connection_id = $1 AND NOT EXISTS (SELECT 1 FROM members m WHERE m.org_id = $2 AND m.user_id = l.user_id) `
)

func (c Connection) scanSharer(s sqldb.Row) (api.SharingMember, error) {
	var m api.SharingMember
	var l limit
	err := s.Scan(&m.UserID, &m.Email, &m.Name, &m.Role, &l.access, &m.Preset, &l.ceiling)
	return c.sharer(m, l), err
}

// sharer fills in the access of a member or key that has that limit.
func (c Connection) sharer(m api.SharingMember, l limit) api.SharingMember {
	if m.Owner = m.UserID == c.OwnerID; m.Owner {
		m.Access, m.Preset = AccessFull, ""
		return m
	}
	m.Access = AccessFull
	if l.access != "" {
		m.Access = l.access
	}
	if l.access == AccessLimited {
		m.Ceiling = strings.Fields(l.ceiling)
	}
	if access, most := (Bounds{ceiling: c.ceiling, own: l}).access(); access != AccessFull {
		m.Allowed = most.Strings()
	}
	return m
}

// errOwner says why the owner cannot be limited.
func (c Connection) errOwner() error {
	return bridge.E(bridge.Conflict, bridge.CodeOwnerUnlimited, "the connection is %s's own: its owner is never limited", c.Owner).
		WithHint("to take it away from everybody: ace disconnect %s", c.ID)
}
