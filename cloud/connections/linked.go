package connections

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

// UnprobedOf reads those of some connections that have not been probed since a time.
func UnprobedOf(ctx context.Context, q schema.Queryer, ids []string, since time.Time) ([]Connection, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	args := []any{since.Unix()}
	var list strings.Builder
	for i, id := range ids {
		args = append(args, id)
		if i > 0 {
			list.WriteString(", ")
		}
		list.WriteString("$" + strconv.Itoa(len(args)))
	}
	rows, err := q.QueryContext(ctx, "SELECT "+connectionColumns+fromConnections+ //nolint:gosec // numbers of parameters
		"WHERE c.probed_at <= $1 AND c.id IN ("+list.String()+") ORDER BY c.probed_at, c.id", args...)
	return sqldb.Collect(rows, err, scanConnection)
}
