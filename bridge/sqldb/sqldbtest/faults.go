package sqldbtest

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"
)

// ReadOnly makes a database of [Postgres] read-only for all who use it, until the returned function is called.
func ReadOnly(t testing.TB, dsn string) (restore func()) {
	t.Helper()
	return alter(t, dsn, "SET default_transaction_read_only = on", "RESET default_transaction_read_only")
}

// Away makes a database of [Postgres] end all connections and take none, until the returned function is called.
func Away(t testing.TB, dsn string) (restore func()) {
	t.Helper()
	return alter(t, dsn, "ALLOW_CONNECTIONS false", "ALLOW_CONNECTIONS true")
}

func alter(t testing.TB, dsn, do, undo string) (restore func()) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	change := func(what string) {
		db, err := sql.Open("pgx", u.String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		for _, q := range []string{"ALTER DATABASE " + name + " " + what,
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "'"} {
			if _, err := db.ExecContext(context.WithoutCancel(t.Context()), q); err != nil {
				t.Fatal(err)
			}
		}
	}
	change(do)
	return func() { change(undo) }
}
