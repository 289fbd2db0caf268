package sqldb_test

import (
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
)

// TestNothingOfTheURL checks that no message quotes any part of a database URL, whatever its form.
func TestNothingOfTheURL(t *testing.T) {
	const canary = "canary-7f3a"
	for _, dsn := range []string{
		"postgres://user:" + canary + "@127.0.0.1:1/db", "postgres://user:" + canary + "@127.0.0.1:port/db", "postgres://user:" + canary + "/x@127.0.0.1:1/db",
		"postgres://user:" + canary + "%zz@127.0.0.1:1/db", "postgres://" + canary + "@127.0.0.1:1/db", "postgres://127.0.0.1:1/db?password=" + canary,
		"postgres://127.0.0.1:1/" + canary, "postgres://" + canary + ".invalid:1/db", "postgres://user:p#" + canary + "@127.0.0.1:1/db", "postgres://127.0.0.1:1/db?sslmode=" + canary,
		"postgres:host=127.0.0.1 port=1 password=" + canary, "host=127.0.0.1 port=1 password=" + canary, "password='" + canary, canary, "mysql://user:" + canary + "@h/db",
		"sqlite:/dev/null/" + canary + "/x.db", "sqlite:" + canary + "?x", "sqlite:/dev/null/" + canary, " postgres://user:" + canary + "@h/db", "postgresql:" + canary,
	} {
		db, err := sqldb.Open(t.Context(), dsn)
		if err == nil {
			_ = db.Close()
			t.Errorf("%q is opened", dsn)
			continue
		}
		for e := err; e != nil; {
			text := e.Error() + bridge.AsError(e).Hint + bridge.AsError(e).Detail
			if strings.Contains(text, canary) {
				t.Errorf("%q: %s", dsn, text)
			}
			inner := bridge.AsError(e).Err
			if inner == nil || inner == e { //nolint:errorlint // the same object
				break
			}
			e = inner
		}
	}
}
