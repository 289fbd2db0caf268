package audit

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// TestFiltersHaveAnIndex checks that every filter has an index which also gives the order, so that a page is found without
// reading the log, however few of its entries match.
func TestFiltersHaveAnIndex(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		db, err := sqldb.Open(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if err := Migrate(ctx, db); err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1_800_000_000, 0)
		err = db.Tx(ctx, func(tx *sql.Tx) error {
			for i := range 5000 {
				e := Entry{Actor: Actor{ID: fmt.Sprintf("user:%d@acme.test", i%97), Org: []string{"acme", "rival"}[i%2], RequestID: fmt.Sprint("r", i)},
					Action: fmt.Sprintf("noun.verb%d", i%31), Target: fmt.Sprintf("connection:%d", i%501)}
				if i%701 == 0 {
					e.Outcome = "role_admin"
				}
				if err := Write(ctx, tx, now.Add(time.Duration(i)*time.Minute), e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		analyze := "ANALYZE"
		if db.Dialect == sqldb.SQLite {
			analyze = "SELECT 1" // nothing to analyze there
		}
		if _, err := db.ExecContext(ctx, analyze); err != nil {
			t.Fatal(err)
		}
		page, _, err := List(ctx, db, Query{Org: "acme", Limit: 20})
		if err != nil {
			t.Fatal(err)
		}
		cursor := page[19].ID
		for name, c := range map[string]struct {
			q     Query
			index string
		}{
			"all":     {Query{}, "audit_org"},
			"older":   {Query{Before: cursor}, "audit_org"},
			"newer":   {Query{After: cursor}, "audit_org"},
			"times":   {Query{From: now, To: now.Add(time.Hour)}, "audit_org"},
			"actor":   {Query{Actor: "user:3@acme.test"}, "audit_actor"},
			"action":  {Query{Action: "noun.verb3"}, "audit_action"},
			"target":  {Query{Target: "connection:3", Before: cursor}, "audit_target"},
			"request": {Query{RequestID: "r3"}, "audit_request"},
			"refused": {Query{Outcome: Refused}, "audit_refused"},
			"code":    {Query{Outcome: "role_admin"}, "audit_refused"},
		} {
			c.q.Org, c.q.Limit = "acme", 50
			if plan := explain(t, db, c.q); !strings.Contains(plan, c.index) || strings.Contains(plan, "SCAN audit") || strings.Contains(plan, "Seq Scan") ||
				strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("%s: %s", name, plan)
			}
		}
	})
}

func explain(t *testing.T, db *sqldb.DB, q Query) string {
	t.Helper()
	statement, args := q.statement()
	prefix := "EXPLAIN "
	if db.Dialect == sqldb.SQLite {
		prefix = "EXPLAIN QUERY PLAN "
	}
	rows, err := db.QueryContext(t.Context(), prefix+statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var line string
		if db.Dialect == sqldb.SQLite {
			err = rows.Scan(&id, &parent, &unused, &line)
		} else {
			err = rows.Scan(&line)
		}
		if err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
