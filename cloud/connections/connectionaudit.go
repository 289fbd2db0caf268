package connections

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
)

// ConnectionAudit returns a page of one connection's audit entries, for admins and for its owner, who answers for its key. Only
// admins see the addresses of others.
func (st *Store) ConnectionAudit(ctx context.Context, p accounts.Principal, id string, q audit.Query) ([]api.AuditEntry, string, error) {
	c, err := st.Find(ctx, st.db, p, id)
	if err != nil {
		return nil, "", err
	}
	all := p.Can("audit:read")
	if !all && (p.Kind != "" || c.OwnerID != p.UserID) {
		return nil, "", bridge.E(bridge.Forbidden, bridge.CodeAuditOwner,
			"only %s and the admins of %s may read the audit log of this connection", c.Owner, p.Org)
	}
	q.Org, q.Target = p.Org, "connection:"+c.ID
	entries, next, err := audit.List(ctx, st.db.DB, q)
	for i := range entries {
		if !all && entries[i].Actor != "user:"+p.Email {
			entries[i].Address = ""
		}
	}
	return entries, next, err
}

// ConnectionNames returns the names of those given connections that the principal sees, by ID.
func (st *Store) ConnectionNames(ctx context.Context, p accounts.Principal, ids []string) (map[string]string, error) {
	names := map[string]string{}
	if len(ids) == 0 {
		return names, nil
	}
	var args []any
	var marks []string
	for _, id := range ids {
		args = append(args, id)
		marks = append(marks, "$"+strconv.Itoa(len(args)))
	}
	rows, err := st.db.QueryContext(ctx, callerRows(&args, callerRow{Principal: p})+"SELECT c.id, c.name"+fromConnections+"CROSS JOIN caller WHERE"+visible+ //nolint:gosec // only placeholders
		"AND c.id IN ("+strings.Join(marks, ", ")+")", args...)
	err = sqldb.Each(rows, err, func(row sqldb.Row) error {
		var id, name string
		err := row.Scan(&id, &name)
		names[id] = name
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up names of connections: %w", err)
	}
	return names, nil
}
