package sqldb

import (
	"context"
	"database/sql"
	"fmt"
)

// Row is one row of a result.
type Row interface{ Scan(dest ...any) error }

// Queryer is a database or a transaction that runs queries.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Each calls read for each row of a query. It takes the query's error and closes rows.
func Each(rows *sql.Rows, err error, read func(Row) error) error {
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

// Collect returns all rows of a query. Without rows the slice is empty, not nil.
func Collect[T any](rows *sql.Rows, err error, scan func(Row) (T, error)) ([]T, error) {
	out := []T{}
	err = Each(rows, err, func(row Row) error {
		item, err := scan(row)
		out = append(out, item)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Column returns all rows of a query for a single column.
func Column[T any](rows *sql.Rows, err error) ([]T, error) {
	return Collect(rows, err, func(row Row) (value T, err error) {
		err = row.Scan(&value)
		return value, err
	})
}

// Wrap adds what failed to an error; it returns nil if nothing did.
func Wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
