package schema

import (
	"database/sql"
)

const (
	defaultLimit = 50
	MaxLimit     = 500
)

// PageSize is how many items a page of a list has.
func PageSize(limit int) int {
	if limit <= 0 {
		limit = defaultLimit
	}
	return min(limit, MaxLimit)
}

type Scanner interface{ Scan(dest ...any) error }

// Page reads one page of a list from a query for limit items and one more, which only says that there is a next page. next
// is the ID of the last item, from which that goes on; empty on the last page.
func Page[T any](rows *sql.Rows, err error, limit int, scan func(Scanner) (T, error), id func(T) string) (items []T, next string, _ error) {
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = rows.Close() }()
	items = []T{}
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, "", err
		}
		items = append(items, item)
	}
	if err := rows.Err(); err != nil {
		return nil, "", err
	}
	if len(items) > limit {
		items = items[:limit]
		return items, id(items[limit-1]), nil
	}
	return items, "", nil
}

// EachRow reads the rows of a query one by one.
func EachRow(rows *sql.Rows, err error, read func(Scanner) error) error {
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Texts reads a result of one column.
func Texts(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}
