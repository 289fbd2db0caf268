// Package schema is the cloud's database: its tables, its clock, and the transactions that change it.
//
// The migrations of all stores are one list, here, so a table can move between stores without a migration. Each store owns the
// rows of some tables and writes its own SQL; this package has what they share.
//
// A transaction either takes something away (a session, a role, a single-use token), or it only adds, notes or counts:
//
//	takes something away   DB.Change, DB.ChangeIf   gets a change number, stored outside the database before the answer
//	adds, notes, counts    DB.Tx                    may be lost when a backup is restored, at no risk
//
// The cloud notices by that number that an old backup was restored: what the backup still has may have been taken away since. A
// test lists each function that changes rows without a number, with the reason.
package schema

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/timeline"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
)

//go:embed migrations/*.sql
var files embed.FS

// Config is the configuration of a cloud's database.
type Config struct {
	Mark mark.Place       // the file of the change number, unless [DB.NumberWith] is called; zero: none
	Now  func() time.Time // nil: time.Now
}

// Numberer gives change numbers to transactions; see [keys.Authority.Numbered].
type Numberer interface {
	Numbered(ctx context.Context, rule timeline.Rule) error
}

// DB is the database of a cloud. It is safe for concurrent use.
type DB struct {
	*sqldb.DB
	cfg     Config
	log     *slog.Logger
	numbers Numberer // nil: the file at cfg.Mark
}

// Migrate brings the tables of a cloud up to date: those of the stores, of its own keys, and of the audit log.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	fsys, err := fs.Sub(files, "migrations")
	if err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	if err := db.Migrate(ctx, "registry", fsys); err != nil { // the name that existing databases have
		return err
	}
	return keys.Migrate(ctx, db)
}

// New brings the tables up to date and returns the database.
func New(ctx context.Context, db *sqldb.DB, cfg Config, log *slog.Logger) (*DB, error) {
	if err := Migrate(ctx, db); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &DB{DB: db, cfg: cfg, log: log}
	return d, d.bringToOneForm(ctx)
}

// NumberWith takes change numbers from the cloud's own API keys, so that both share one sequence.
func (db *DB) NumberWith(n Numberer) { db.numbers = n }

// Now is the time by which all stores go. Tests set it in [Config].
func (db *DB) Now() time.Time { return db.cfg.Now() }

// Change runs a transaction that takes something away, or may do so.
func (db *DB) Change(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return db.ChangeIf(ctx, func(tx *sql.Tx) (bool, error) { return true, fn(tx) })
}

// ChangeIf is [DB.Change] for a rule that reports whether it took something away.
func (db *DB) ChangeIf(ctx context.Context, rule timeline.Rule) error {
	if db.numbers != nil {
		return db.numbers.Numbered(ctx, rule)
	}
	return timeline.Numbered(ctx, db.DB, db.cfg.Mark, db.log, rule)
}

// NewID returns a new ID, ordered by time (UUID version 7, RFC 9562 section 5.7).
func NewID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an ID: %w", err)
	}
	return id.String(), nil
}

// Hash is the stored form of a random token of 256 bits: its SHA-256 in hex. Such tokens need no salt.
func Hash(token bridge.Secret) string {
	sum := sha256.Sum256([]byte(token.Reveal()))
	return hex.EncodeToString(sum[:])
}

// Backoff returns how long to wait after so many failed tries: first, then twice as long each time, up to most.
func Backoff(tries int, first, most time.Duration) time.Duration {
	const doublings = 20 // more would overflow
	return min(first<<min(tries, doublings), most)
}

// At converts a stored Unix time in seconds; nil for zero, which stands for none.
func At(unix int64) *time.Time {
	if unix == 0 {
		return nil
	}
	t := time.Unix(unix, 0).UTC()
	return &t
}

// Wake wakes the worker that waits on a channel of capacity one, or the next one to wait.
func Wake(waiting chan struct{}) {
	select {
	case waiting <- struct{}{}:
	default:
	}
}

// Queryer reads and changes rows: a transaction, or the database itself.
type Queryer interface {
	sqldb.Queryer
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// MaxName bounds the names of people, organizations and connections, in bytes.
const MaxName = 100

// DeleteBefore runs statements that delete what was over before a time, which is $1.
func (db *DB) DeleteBefore(ctx context.Context, before time.Time, statements ...string) error {
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement, before.Unix()); err != nil {
			return err
		}
	}
	return nil
}
