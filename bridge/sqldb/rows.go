package sqldb

import (
	"context"
	"database/sql"
	"fmt"
)

// Row is one row of a result.
type Row interface{ Scan(dest ...any) error }

// Queryer runs queries: a database, or a transaction.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Each reads the rows of a query one by one.
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

// Collect reads all rows of a query; without rows the slice is empty, and not nil.
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

// Column reads all rows of a query for one column.
func Column[T any](rows *sql.Rows, err error) ([]T, error) {
	return Collect(rows, err, func(row Row) (value T, err error) {
		err = row.Scan(&value)
		return value, err
	})
}

// Wrap says what failed, or is nil where nothing did.
func Wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
