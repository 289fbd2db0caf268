package schema

import (
	"context"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
)

// formed lists the columns of names and addresses, each with the function that brings it to its stored form.
var formed = []struct {
	table, column string
	form          func(string) string
}{
	{"users", "email", emailForm},
	{"invitations", "email", emailForm},
	{"users", "name", bridge.OneForm},
	{"organizations", "name", bridge.OneForm},
	{"connections", "name", bridge.OneForm},
}

func emailForm(s string) string {
	if email, err := bridge.CanonicalEmail(s); err == nil {
		return email
	}
	return s
}

// bringToOneForm converts names that older versions stored as they came. A row whose converted name another row has already stays
// as it is, and is logged.
func (db *DB) bringToOneForm(ctx context.Context) error {
	for _, f := range formed {
		rows, err := db.unformed(ctx, f.table, f.column, f.form)
		if err != nil {
			return fmt.Errorf("bring names to one form: %w", err)
		}
		for id, name := range rows {
			update := "UPDATE " + f.table + " SET " + f.column + " = $1 WHERE id = $2 AND " + f.column + " = $3"
			_, err := db.ExecContext(ctx, update, f.form(name), id, name) //nolint:gosec // names of this package
			switch {
			case sqldb.IsUnique(err):
				db.log.Warn("a name exists twice, in two Unicode forms: rename or remove one", "table", f.table, "id", id)
			case err != nil:
				return fmt.Errorf("bring names to one form: %w", err)
			}
		}
	}
	return nil
}

// unformed returns the rows whose name is not in its stored form, by ID. ASCII has only one form, so the query skips it.
func (db *DB) unformed(ctx context.Context, table, column string, form func(string) string) (map[string]string, error) {
	query := "SELECT id, " + column + " FROM " + table + " WHERE octet_length(" + column + ") <> length(" + column + ")"
	rows, err := db.QueryContext(ctx, query) //nolint:gosec // names of this package
	out := map[string]string{}
	err = sqldb.Each(rows, err, func(row sqldb.Row) error {
		var id, name string
		err := row.Scan(&id, &name)
		if err == nil && form(name) != name {
			out[id] = name
		}
		return err
	})
	return out, err
}
