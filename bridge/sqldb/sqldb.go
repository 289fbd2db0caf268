// Package sqldb opens databases and runs migrations and transactions, alike on SQLite and PostgreSQL.
//
// The stores above it write one set of SQL for both: $1 placeholders, columns of type TEXT, BIGINT and BOOLEAN, and times as
// whole seconds since 1970. How a database is opened at start ([OpenChecked]):
//
//	URL ──► file missing or empty, although used before? ──yes──► refused
//	          │ no
//	          ▼
//	        opened, checked for damage ──damaged, or a cloud's for a server──► refused
//	          │
//	          ▼
//	        same ID as in the data directory? ──no──► refused, unless the operator says --new-database
//	          │ yes
//	          ▼
//	        in use: [DB.Tx] waits for locks up to 10 s and retries what the database gave up in favour of others
//
// Errors of the drivers are classified where they arise: one that means that the database is in trouble is a [bridge.Error] with
// a code, a hint for the operator and a time to retry ([Classify]); any other is passed through.
package sqldb

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/acebridge/ace/bridge"
)

// Dialect is the kind of a database.
type Dialect string

// The supported databases.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// DB is an open database.
type DB struct {
	*sql.DB
	Dialect Dialect
	file    string // of a SQLite database; or ":memory:"
	owned   *flock.Flock

	replaced string // see Replaced
	writes   writes
	patience time.Duration // how long a change waits for a connection and for locks, in total
}

const (
	patience = 10 * time.Second
	// busyTimeout is how long SQLite itself waits for a lock. Changes are retried until their patience is over.
	busyTimeout = time.Second
)

// Open opens "sqlite:PATH" or "postgres://…" and checks that the database answers.
//
// A new SQLite file is readable only by its owner. Errors never quote the URL, which may contain a password.
func Open(ctx context.Context, dsn string) (*DB, error) {
	var db *DB
	var err error
	switch scheme, rest, _ := strings.Cut(dsn, ":"); scheme {
	case "sqlite":
		db, err = openSQLite(rest)
	case "postgres", "postgresql":
		db, err = openPostgres(dsn)
	default:
		return nil, bridge.E(bridge.Invalid, bridge.CodeDatabaseURL, "the database URL begins with neither sqlite: nor postgres://").
			WithHint("set ACE_DATABASE_URL to sqlite:/path/to/ace.db or postgres://user@host/database")
	}
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		if e, ok := errors.AsType[*bridge.Error](err); ok && e.Code != bridge.CodeDatabaseUnreachable {
			return nil, e
		}
		// The driver's text may repeat the URL with its password, so it is not passed on.
		return nil, bridge.E(bridge.Unavailable, bridge.CodeDatabaseUnreachable, "the %s database cannot be opened: %s",
			db.Dialect, whyNot(err)).WithHint("check ACE_DATABASE_URL")
	}
	return db, nil
}

// whyNot names the kind of mistake behind a database that cannot be opened. It contains nothing of the URL: any part of a
// malformed one may be a password that the driver took for a host or a name.
func whyNot(err error) string {
	var dns *net.DNSError
	var dial *net.OpError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var path *fs.PathError
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return "it answers with SQLSTATE " + pg.Code
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return fmt.Sprintf("SQLite answers with code %d (%s)", lite.Code(), sqlite.ErrorCodeString[lite.Code()&0xff])
	}
	switch {
	case errors.As(err, &dns):
		return "its host name is not known"
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		return "it does not answer in time"
	case errors.As(err, &host), errors.As(err, &authority):
		return "its TLS certificate is not trusted"
	case errors.As(err, &dial):
		return "nothing listens at its address"
	case errors.As(err, &path):
		return path.Err.Error()
	}
	return "the driver cannot get through to it"
}

// openSQLite puts every pragma into the DSN, because a PRAGMA statement reaches only one pooled connection. WAL lets readers
// continue while someone writes; synchronous=FULL keeps a committed key through a power cut; _txlock=immediate takes the write
// lock at BEGIN, where busy_timeout waits for it, rather than later, where SQLite gives up at once.
func openSQLite(path string) (*DB, error) {
	path = strings.TrimPrefix(path, "//")
	if path == "" || strings.ContainsAny(path, "?#%") {
		return nil, bridge.E(bridge.Invalid, bridge.CodeDatabaseURL, "sqlite: needs the path of a file, without ?, # and %%")
	}
	if path != ":memory:" {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("make the folder of the file that ACE_DATABASE_URL names: %s", whyNot(err))
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, fmt.Errorf("open the file that ACE_DATABASE_URL names: %s", whyNot(err))
		}
		_ = f.Close()
	}
	dsn := fmt.Sprintf("file:%s?_txlock=immediate&_pragma=busy_timeout(%d)"+
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)", path, busyTimeout.Milliseconds())
	plain, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	db := sql.OpenDB(connector{named{plain.Driver(), dsn}})
	if path == ":memory:" {
		db.SetMaxOpenConns(1) // each connection would be a separate database
	} else {
		db.SetMaxOpenConns(8)
		db.SetMaxIdleConns(8)
	}
	return &DB{DB: db, Dialect: SQLite, file: path, patience: patience}, nil
}

const connectTimeout = 5 * time.Second

// openPostgres bounds waiting for locks on each connection, unless the URL sets lock_timeout itself.
func openPostgres(dsn string) (*DB, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, bridge.E(bridge.Invalid, bridge.CodeDatabaseURL, "the database URL cannot be read")
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	db := sql.OpenDB(connector{stdlib.GetConnector(*cfg, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		if _, set := cfg.RuntimeParams["lock_timeout"]; set {
			return nil
		}
		// Not a start-up parameter of the connection: poolers refuse parameters they do not know.
		_, err := c.Exec(ctx, fmt.Sprintf("SET lock_timeout = %d", patience.Milliseconds()))
		return err
	}))})
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(8)
	db.SetConnMaxLifetime(time.Hour)
	return &DB{DB: db, Dialect: Postgres, patience: patience}, nil
}

// IsUnique reports whether err is a violation of a unique constraint.
func IsUnique(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "23505"
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return false
}

// Changed reports whether a conditional UPDATE, INSERT or DELETE changed at least one row.
func Changed(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}
