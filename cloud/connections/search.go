package connections

import (
	"context"
	"fmt"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// Search narrows a list of connections. The zero value matches all of them.
type Search struct {
	Text   string // in the name, the URL or the owner, in any case
	Status string // exact
}

// maxSearch bounds the text that is searched for, in bytes.
const maxSearch = 100

func (s Search) valid() error {
	if !bridge.PlainText(s.Text, maxSearch) {
		return bridge.E(bridge.Invalid, bridge.CodeSearchMalformed, "what is searched for is at most %d bytes of plain text", maxSearch)
	}
	switch s.Status {
	case "", StatusOnline, StatusOffline, StatusUnauthorized, StatusUnknown:
		return nil
	}
	return bridge.E(bridge.Invalid, bridge.CodeStatusUnknown, "the status of a connection is %s, %s, %s or %s",
		StatusOnline, StatusOffline, StatusUnauthorized, StatusUnknown)
}

// pattern is the LIKE pattern of the text, with wildcards escaped by !; empty if everything matches.
func (s Search) pattern() string {
	if s.Text == "" {
		return ""
	}
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(bridge.OneForm(s.Text)) + "%"
}

const searched = `($3 = '' OR c.status = $3) AND ($4 = '' OR LOWER(c.name) LIKE LOWER($4) ESCAPE '!'
	OR LOWER(c.server_url) LIKE LOWER($4) ESCAPE '!' OR LOWER(u.email) LIKE LOWER($4) ESCAPE '!') `

// SearchConnections lists the matching connections that a member sees, oldest first.
func (st *Store) SearchConnections(ctx context.Context, p accounts.Principal, search Search, cursor string, limit int) ([]api.Connection, string, error) {
	if err := search.valid(); err != nil {
		return nil, "", err
	}
	limit = schema.PageSize(limit)
	args := []any{p.OrgID, cursor, search.Status, search.pattern(), limit + 1}
	rows, err := st.db.QueryContext(ctx, callerRows(&args, callerRow{Principal: p, at: st.db.Now()})+selectSeen+"c.org_id = $1 AND c.id > $2 AND"+visible+ //nolint:gosec // numbers of parameters
		"AND "+searched+"ORDER BY c.id LIMIT $5", args...)
	out, next, err := schema.Page(rows, err, limit, func(s sqldb.Row) (api.Connection, error) {
		c, err := scanSeen(s)
		return c.API(p), err
	}, func(c api.Connection) string { return c.ID })
	if err != nil {
		return nil, "", fmt.Errorf("list connections: %w", err)
	}
	return out, next, nil
}
