package sqldbtest

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
)

// Steps migrates a store up version by version, then down, and up once more, with rows in place.
//
// At each version it adds a row to every table: no migration may fail because of existing rows, or lose one. check is called both
// times the newest version is reached. The rows of version V can be told apart by their texts, which are all "row V"; that
// also satisfies the references between tables.
func Steps(t *testing.T, db *sql.DB, postgres bool, store string, migrations fs.FS, check func()) {
	t.Helper()
	dialect := goose.DialectSQLite3
	if postgres {
		dialect = goose.DialectPostgres
	}
	provider, err := goose.NewProvider(dialect, db, migrations, goose.WithTableName("schema_"+store), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	s := steps{t: t, db: db, postgres: postgres, own: "schema_" + store}
	var versions []int64
	for _, source := range provider.ListSources() {
		versions = append(versions, source.Version)
	}
	rows := map[string][]int64{} // table to the versions that it has a row of
	up := func(version int64) {
		if _, err := provider.UpTo(t.Context(), version); err != nil {
			t.Fatalf("up to %d with rows in place: %v", version, err)
		}
		s.keeps(version, rows)
	}
	for _, version := range versions {
		up(version)
		for _, table := range s.tables() {
			s.insert(table, version)
			rows[table] = append(rows[table], version)
		}
	}
	check()
	for _, version := range slices.Backward(versions) {
		if _, err := provider.DownTo(t.Context(), version-1); err != nil {
			t.Fatalf("down from %d with rows in place: %v", version, err)
		}
		here := s.tables()
		for table := range rows {
			if !slices.Contains(here, table) {
				delete(rows, table)
			}
		}
		if len(rows) == 0 { // nothing left to migrate
			break
		}
		s.keeps(version-1, rows)
		if version == versions[len(versions)-1] {
			up(version)
			check()
			if _, err := provider.DownTo(t.Context(), version-1); err != nil {
				t.Fatalf("down from %d for the second time: %v", version, err)
			}
		}
	}
}

type steps struct {
	t        *testing.T
	db       *sql.DB
	postgres bool
	own      string // goose's table
}

// keeps checks that the rows of every version are still there.
func (s *steps) keeps(version int64, rows map[string][]int64) {
	s.t.Helper()
	for table, of := range rows {
		for _, v := range of {
			where, args := s.where(table, v)
			var n int
			if err := s.db.QueryRowContext(s.t.Context(), "SELECT COUNT(*) FROM "+table+" WHERE "+where, args...).Scan(&n); err != nil { //nolint:gosec // names of tables and columns
				s.t.Fatal(err)
			}
			if n != 1 {
				s.t.Errorf("at version %d the row of version %d in %s is there %d times", version, v, table, n)
			}
		}
	}
}

// where selects the row of a version by its table's first column, which is part of the key in every table.
func (s *steps) where(table string, version int64) (string, []any) {
	c := s.columns(table)[0]
	return c.name + " = $1", []any{c.value(version)}
}

func (s *steps) insert(table string, version int64) {
	s.t.Helper()
	var names, places []string
	var values []any
	for i, c := range s.columns(table) {
		names, places = append(names, c.name), append(places, fmt.Sprintf("$%d", i+1))
		values = append(values, c.value(version))
	}
	_, err := s.db.ExecContext(s.t.Context(), "INSERT INTO "+table+" ("+strings.Join(names, ", ")+") VALUES ("+ //nolint:gosec // names of tables and columns
		strings.Join(places, ", ")+")", values...)
	if err != nil {
		s.t.Fatalf("a row of version %d in %s: %v", version, table, err)
	}
}

type column struct{ name, kind string }

// value is what the row of a version has in a column. Numbers are too large to collide with any that a migration writes.
func (c column) value(version int64) any {
	const numbers = 1000
	switch strings.ToLower(c.kind) {
	case "bigint":
		return numbers + version
	case "boolean":
		return version%2 == 0
	}
	return fmt.Sprintf("row %d", version)
}

// tables returns the store's tables in order of creation, so that referenced ones come first.
func (s *steps) tables() []string {
	query := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
	if s.postgres {
		query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY oid"
	}
	all := list(s, query, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) })
	return slices.DeleteFunc(all, func(name string) bool { return name == s.own })
}

func (s *steps) columns(table string) []column {
	query := "SELECT name, type FROM pragma_table_info($1) ORDER BY cid"
	if s.postgres {
		query = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position"
	}
	return list(s, query, func(rows *sql.Rows) (c column, err error) { return c, rows.Scan(&c.name, &c.kind) }, table)
}

func list[T any](s *steps, query string, scan func(*sql.Rows) (T, error), args ...any) []T {
	s.t.Helper()
	rows, err := s.db.QueryContext(context.WithoutCancel(s.t.Context()), query, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var out []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, item)
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return out
}
