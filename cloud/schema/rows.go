package schema

import (
	"database/sql"

	"github.com/acebridge/ace/bridge/sqldb"
)

// The sizes of a page of a list.
const (
	defaultLimit = 50
	MaxLimit     = 500 // items of a page, at most
)

// PageSize is how many items a page of a list has.
func PageSize(limit int) int {
	if limit <= 0 {
		limit = defaultLimit
	}
	return min(limit, MaxLimit)
}

// Page reads one page of a list from a query for limit items and one more, which only says that there is a next page. next
// is the ID of the last item, from which that goes on; empty on the last page.
func Page[T any](rows *sql.Rows, err error, limit int, scan func(sqldb.Row) (T, error), id func(T) string) (items []T, next string, _ error) {
	if items, err = sqldb.Collect(rows, err, scan); err != nil {
		return nil, "", err
	}
	if len(items) > limit {
		items = items[:limit]
		return items, id(items[limit-1]), nil
	}
	return items, "", nil
}
