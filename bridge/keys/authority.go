// Package keys is the key authority: the rules and the rows of API keys, used by a server for its own keys and by a
// cloud for its own. It issues, lists, verifies, rotates and revokes them; it never stores a secret, only its hash and
// the public key that is derived from it.
//
// Every change is one conditional UPDATE in one transaction together with its audit entry, and takes the next number of
// a common version. A table of all keys lies in memory and is changed after the commit, in the same call, so that
// revoking is exact: the next request is refused. Several processes on one PostgreSQL tell each other (LISTEN/NOTIFY),
// and compare versions to find what they missed; one that cannot do so for a while refuses everything. A SQLite file
// belongs to one process.
package keys

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
)

//go:embed migrations/*.sql
var files embed.FS

// Config is what an authority must know.
type Config struct {
	Servers   []bridge.ServerURL // the audiences that derived access tokens may name
	Catalogue catalogue.Catalogue
	// Pepper goes into the secret of a rotation that can be retried, so that neither the database nor an idempotency key
	// suffices to find it. Zero will do where idempotency keys are random.
	Pepper bridge.Secret
	// Personal: people have personal access tokens, and a key of the organization takes an admin.
	Personal bool
	Now      func() time.Time // nil: time.Now
	Mark     *mark.File       // the change number outside the database; nil: none is kept
}

// Authority issues and verifies keys. Its methods are safe for concurrent use; [Authority.Run] has to run beside them.
type Authority struct {
	db    *sqldb.DB
	cfg   Config
	log   *slog.Logger
	table *table
	use   *usage
	feed  *feed

	statements *lru.Cache[uuid.UUID, *rate.Limiter] // by key

	realTime  bool         // cfg.Now is time.Now
	clock     atomic.Int64 // unix seconds, kept by Run; 0: ask cfg.Now
	time      clock        // cfg.Now is its time
	version   atomic.Int64 // all changes up to this one are in the table
	synced    atomic.Int64 // when they were last compared with the database, on the monotonic clock
	attempted atomic.Int64 // when that was last tried
	stale     atomic.Bool  // that was too long ago
	highest   atomic.Int64 // the highest change number that this process, the mark or the cloud knows
	loaded    atomic.Int64 // marks.restored when all keys were loaded
	behind    atomic.Pointer[lag]
	unread    atomic.Bool // what has changed could not be read the last time
	wake      chan struct{}
	pulling   sync.Mutex
}

// Migrate brings the tables of keys and their audit log up to date.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	fsys, err := fs.Sub(files, "migrations")
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := db.Migrate(ctx, "keys", fsys); err != nil {
		return err
	}
	return audit.Migrate(ctx, db)
}

// New brings the tables up to date, loads all keys and returns an authority over them.
func New(ctx context.Context, db *sqldb.DB, cfg Config, log *slog.Logger) (*Authority, error) {
	if err := db.Own(); err != nil {
		return nil, err
	}
	if err := Migrate(ctx, db); err != nil {
		return nil, err
	}
	statements, err := lru.New[uuid.UUID, *rate.Limiter](statementKeys)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	a := &Authority{db: db, cfg: cfg, log: log, table: newTable(), use: newUsage(), feed: newFeed(), statements: statements,
		wake: make(chan struct{}, 1)}
	a.time.system, a.cfg.Now = cfg.Now, a.time.now
	if cfg.Now == nil {
		a.time.system, a.realTime = time.Now, true
	}
	a.highest.Store(cfg.Mark.Number())
	if err := a.load(ctx); err != nil {
		return nil, err
	}
	if l := a.behind.Load(); l != nil {
		return nil, errBehind(l.found, l.known)
	}
	if err := a.storeTime(ctx); err != nil {
		return nil, err
	}
	if err := a.adopt(ctx); err != nil {
		return nil, err
	}
	return a, a.listDoubted(ctx)
}

// seconds is the time of a verification. Asking the system for it would cost a third of all.
func (a *Authority) seconds() int64 {
	if s := a.clock.Load(); s != 0 {
		return s
	}
	return a.cfg.Now().Unix()
}
