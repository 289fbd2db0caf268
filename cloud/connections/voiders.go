package connections

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// Voiders are the kinds of credential kept with connections; see [Voider].
func (st *Store) Voiders() []accounts.Voider {
	return []accounts.Voider{
		{Kind: "connections", Tables: []string{"connections", "link_keys"}, Void: st.voidConnections},
	}
}

// voidConnections removes the connections that a stranger may have made under the address; the revocations of their keys are
// delivered at once.
func (st *Store) voidConnections(ctx context.Context, tx *sql.Tx, h accounts.Handover) error {
	if !h.Whole() || !h.Unproven {
		return nil
	}
	rows, err := tx.QueryContext(ctx, "SELECT "+connectionColumns+fromConnections+"WHERE c.owner_id = $1 ORDER BY c.org_id, c.id", h.User.ID)
	var all []Connection
	err = sqldb.Each(rows, err, func(s sqldb.Row) error {
		c, err := scanConnection(s)
		all = append(all, c)
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range all {
		if _, err := st.queueRevocation(ctx, tx, accounts.Principal{Email: h.User.Email}, c, h.Reason, DueAtOnce); err != nil {
			return err
		}
		gone, err := sqldb.Changed(tx.ExecContext(ctx, "DELETE FROM connections WHERE id = $1 AND secret = $2", c.ID, c.Secret))
		if err != nil {
			return err
		}
		if !gone {
			return errChanged
		}
		if err := st.feed.changed(ctx, tx, c.OrgID, c.ID, change{lost: c.visibility == Organization, gone: true}); err != nil {
			return err
		}
		by := h.Actor
		if err := tx.QueryRowContext(ctx, "SELECT slug FROM organizations WHERE id = $1", c.OrgID).Scan(&by.Org); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: by, Action: "connection.delete", Target: "connection:" + c.ID,
			Details: map[string]string{"name": c.Name, "server_url": string(c.Server), "reason": h.Reason}}); err != nil {
			return err
		}
	}
	return nil
}

// Left lists the private connections that a person leaves behind.
func (st *Store) Left(ctx context.Context, tx *sql.Tx, p accounts.Principal, userID string) ([]api.Connection, error) {
	rows, err := tx.QueryContext(ctx, "SELECT "+connectionColumns+fromConnections+
		"WHERE c.org_id = $1 AND c.owner_id = $2 AND c.visibility = 'private' ORDER BY c.id LIMIT $3", p.OrgID, userID, schema.MaxLimit)
	out := []api.Connection{}
	err = sqldb.Each(rows, err, func(s sqldb.Row) error {
		c, err := scanConnection(s)
		out = append(out, c.API(p))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list what a member leaves: %w", err)
	}
	return out, nil
}

// PrivateConnections counts the private connections of some people in an organization, by user ID.
func (st *Store) PrivateConnections(ctx context.Context, q schema.Queryer, orgID string, userIDs []string) (map[string]int, error) {
	out := map[string]int{}
	if len(userIDs) == 0 {
		return out, nil
	}
	args := []any{orgID}
	var marks []string
	for _, id := range userIDs {
		args = append(args, id)
		marks = append(marks, "$"+strconv.Itoa(len(args)))
	}
	rows, err := q.QueryContext(ctx, "SELECT owner_id, COUNT(*) FROM connections WHERE org_id = $1 AND visibility = 'private' AND owner_id IN ("+ //nolint:gosec // only placeholders
		strings.Join(marks, ", ")+") GROUP BY owner_id", args...)
	err = sqldb.Each(rows, err, func(s sqldb.Row) error {
		var id string
		var n int
		err := s.Scan(&id, &n)
		out[id] = n
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count the connections of members: %w", err)
	}
	return out, nil
}
