package registry

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

// voidConnections removes the connections that a stranger may have made under the address; the revocations of their keys are
// delivered at once.
func (r *Registry) voidConnections(ctx context.Context, tx *sql.Tx, h Handover) error {
	if !h.whole() || !h.Unproven {
		return nil
	}
	rows, err := tx.QueryContext(ctx, "SELECT "+connectionColumns+fromConnections+"WHERE c.owner_id = $1 ORDER BY c.org_id, c.id", h.User.ID)
	var all []connection
	err = eachRow(rows, err, func(s scanner) error {
		c, err := scanConnection(s)
		all = append(all, c)
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range all {
		if _, err := r.queueRevocation(ctx, tx, Principal{Email: h.User.Email}, c, h.Reason, dueAtOnce); err != nil {
			return err
		}
		gone, err := sqldb.Changed(tx.ExecContext(ctx, "DELETE FROM connections WHERE id = $1 AND secret = $2", c.id, c.secret))
		if err != nil {
			return err
		}
		if !gone {
			return errChanged
		}
		if err := r.changed(ctx, tx, c.orgID, c.id, change{lost: c.visibility == Organization, gone: true}); err != nil {
			return err
		}
		by := h.Actor
		if err := tx.QueryRowContext(ctx, "SELECT slug FROM organizations WHERE id = $1", c.orgID).Scan(&by.Org); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, r.cfg.Now(), audit.Entry{Actor: by, Action: "connection.delete", Target: "connection:" + c.id,
			Details: map[string]string{"name": c.name, "server_url": string(c.server), "reason": h.Reason}}); err != nil {
			return err
		}
	}
	return nil
}

// left lists the private connections that a person leaves behind.
func (r *Registry) left(ctx context.Context, tx *sql.Tx, p Principal, userID string) ([]api.Connection, error) {
	rows, err := tx.QueryContext(ctx, "SELECT "+connectionColumns+fromConnections+
		"WHERE c.org_id = $1 AND c.owner_id = $2 AND c.visibility = 'private' ORDER BY c.id LIMIT $3", p.OrgID, userID, maxLimit)
	if err != nil {
		return nil, fmt.Errorf("list what a member leaves: %w", err)
	}
	defer func() { _ = rows.Close() }()
	out := []api.Connection{}
	for rows.Next() {
		c, err := scanConnection(rows)
		if err != nil {
			return nil, fmt.Errorf("list what a member leaves: %w", err)
		}
		out = append(out, c.api(p))
	}
	return out, rows.Err()
}
