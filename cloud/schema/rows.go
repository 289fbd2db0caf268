package schema

import (
	"database/sql"

	"github.com/acebridge/ace/bridge/sqldb"
)

// The sizes of a page of a list.
const (
	defaultLimit = 50
	MaxLimit     = 500 // the most items of a page
)

// PageSize returns the number of items of a page: 50 by default, at most [MaxLimit].
func PageSize(limit int) int {
	if limit <= 0 {
		limit = defaultLimit
	}
	return min(limit, MaxLimit)
}

// Page reads a page of a list. The query must ask for limit+1 items: the last one only shows that there is a next page. next is
// the ID of the page's last item, from which that continues; empty on the last page.
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
