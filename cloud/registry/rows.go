package registry

import (
	"context"
	"database/sql"
	"fmt"
)

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

func wrapped(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// texts reads a result of one column.
func texts(rows *sql.Rows, err error) ([]string, error) {
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

// execer is a database or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}
