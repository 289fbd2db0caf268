package registry

import "database/sql"

const (
	defaultLimit = 50
	maxLimit     = 500
)

// pageSize is how many items a page of a list has.
func pageSize(limit int) int {
	if limit <= 0 {
		limit = defaultLimit
	}
	return min(limit, maxLimit)
}

type scanner interface{ Scan(dest ...any) error }

// page reads one page of a list from a query for limit items and one more, which only says that there is a next page. next
// is the ID of the last item, from which that goes on; empty on the last page.
func page[T any](rows *sql.Rows, err error, limit int, scan func(scanner) (T, error), id func(T) string) (items []T, next string, _ error) {
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

// eachRow reads the rows of a query one by one.
func eachRow(rows *sql.Rows, err error, read func(scanner) error) error {
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
