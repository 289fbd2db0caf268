package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/acebridge/ace/bridge"
)

// fault makes the error of a database in trouble.
func fault(code bridge.Code, detail, hint string, again time.Duration) *bridge.Error {
	return &bridge.Error{Kind: bridge.Unavailable, Code: code, Detail: detail, Hint: hint, RetryAfter: again}
}

const restoreHint = "stop the process and restore a backup of the database"

var (
	errFull = fault(bridge.CodeDatabaseFull, "the disk of the database is full, and nothing can be stored",
		"the operator has to free space on the disk of the database", time.Minute)
	errBusy = fault(bridge.CodeDatabaseBusy, "the database is busy: something else has held its lock for too long",
		"try again in a moment", time.Second)
	errPool = fault(bridge.CodeDatabaseTooManyConnections, "all connections to the database are in use", "try again in a moment",
		2*time.Second)
	errMany = fault(bridge.CodeDatabaseTooManyConnections, "the database accepts no more connections",
		"the operator has to raise max_connections, or stop what else uses the database", 5*time.Second)
	errReadOnly = fault(bridge.CodeDatabaseReadOnly, "the database is read-only, and nothing can be stored",
		"the operator has to make the database and its folder writable, or name the primary in ACE_DATABASE_URL", time.Minute)
	errDamaged = fault(bridge.CodeDatabaseDamaged, "the database is damaged", restoreHint, 5*time.Minute)
	errFailing = fault(bridge.CodeDatabaseFailing, "the disk or file of the database reports errors",
		"the operator has to look at the disk of the database, and at what this process may open", 30*time.Second)
	errMemory = fault(bridge.CodeDatabaseOutOfMemory, "the database is out of memory", "the operator has to give it more",
		30*time.Second)
	errUnreachable = fault(bridge.CodeDatabaseUnreachable, "the database does not answer",
		"the operator has to check that it runs and can be reached from here", 5*time.Second)
	errRefused = fault(bridge.CodeDatabaseRefused, "the database refuses the user of ACE_DATABASE_URL",
		"the operator has to check ACE_DATABASE_URL and the rights of its user", 30*time.Second)
)

var faultsOfSQLite = map[int]*bridge.Error{
	sqlite3.SQLITE_FULL: errFull, sqlite3.SQLITE_BUSY: errBusy, sqlite3.SQLITE_LOCKED: errBusy, sqlite3.SQLITE_PROTOCOL: errBusy,
	sqlite3.SQLITE_READONLY: errReadOnly, sqlite3.SQLITE_CORRUPT: errDamaged, sqlite3.SQLITE_NOTADB: errDamaged,
	sqlite3.SQLITE_FORMAT: errDamaged, sqlite3.SQLITE_IOERR: errFailing, sqlite3.SQLITE_CANTOPEN: errFailing,
	sqlite3.SQLITE_PERM: errFailing, sqlite3.SQLITE_NOLFS: errFailing, sqlite3.SQLITE_NOMEM: errMemory,
}

// faultsOfPostgres maps SQLSTATE codes, and classes of them (two characters), from PostgreSQL's appendix A.
var faultsOfPostgres = map[string]*bridge.Error{
	"08": errUnreachable, "28": errRefused, "3D": errUnreachable, "42501": errRefused,
	"53": errFailing, "53100": errFull, "53200": errMemory, "53300": errMany,
	"55P03": errBusy, "40001": errBusy, "40P01": errBusy, "57014": errBusy,
	"57P01": errUnreachable, "57P02": errUnreachable, "57P03": errUnreachable, "57P04": errUnreachable, "57P05": errUnreachable,
	"58": errFailing, "25006": errReadOnly, "XX001": errDamaged, "XX002": errDamaged,
}

// Classify turns an error that means that the database is in trouble into a [bridge.Error].
//
// It handles errors of drivers and of database/sql, and adds a code, a cause and a time to retry. Any other error is returned as
// it is: errors of a statement, errors that already have a code, and cancelled requests.
func Classify(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if _, ours := errors.AsType[*bridge.Error](err); ours {
		return err
	}
	if e := faultOf(err); e != nil {
		return e.Because(err)
	}
	return err
}

// faultOf returns the fault behind an error, or nil if the database is not in trouble.
func faultOf(err error) *bridge.Error {
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		if lite.Code() == sqlite3.SQLITE_IOERR|12<<8 { // SQLITE_IOERR_NOMEM
			return errMemory
		}
		return faultsOfSQLite[lite.Code()&0xff]
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		if e := faultsOfPostgres[pg.Code]; e != nil {
			return e
		}
		if e := faultsOfPostgres[pg.Code[:min(2, len(pg.Code))]]; e != nil || !connecting {
			return e
		}
	}
	_, network := errors.AsType[net.Error](err)
	switch {
	case network, connecting, pgconn.SafeToRetry(err), pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return errUnreachable
	}
	return nil
}

// IsFault reports whether err means that the database is in trouble, rather than that a rule was broken.
func IsFault(err error) bool {
	e, ok := errors.AsType[*bridge.Error](Classify(err))
	if !ok || e.Kind != bridge.Unavailable {
		return false
	}
	switch e.Code {
	case bridge.CodeDatabaseFull, bridge.CodeDatabaseBusy, bridge.CodeDatabaseReadOnly, bridge.CodeDatabaseDamaged,
		bridge.CodeDatabaseFailing, bridge.CodeDatabaseOutOfMemory, bridge.CodeDatabaseUnreachable, bridge.CodeDatabaseTooManyConnections, bridge.CodeDatabaseRefused:
		return true
	}
	return false
}
