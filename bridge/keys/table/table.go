package table

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/keys/timeline"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Config is what a table needs.
type Config struct {
	DB        *sqldb.DB
	Line      *timeline.Line
	Servers   []bridge.ServerURL // audiences that derived access tokens may name
	Catalogue catalogue.Catalogue
	// Confirm makes an exchanged key permanent at its first use, in the database and in the table; required for verifying.
	Confirm func(ctx context.Context, f Found, now int64) error
}

// Table holds all keys of a database in memory. It is safe for concurrent use.
//
// [Table.Run] must run as long as it is used.
type Table struct {
	cfg    Config
	line   *timeline.Line
	log    *slog.Logger
	memory *memory
	feed   *feed

	version   atomic.Int64 // all changes up to this one are in the table
	synced    atomic.Int64 // when the table was last compared with the database, on the monotonic clock
	attempted atomic.Int64 // when that was last attempted
	stale     atomic.Bool  // synced is too long ago
	loaded    atomic.Int64 // Marks.Restored when all keys were loaded
	unread    atomic.Bool  // the last attempt to read changes failed
	wake      chan struct{}
	pulling   sync.Mutex
}

// New returns an empty table; see [Table.Load].
func New(cfg Config, log *slog.Logger) *Table {
	return &Table{cfg: cfg, line: cfg.Line, log: log, memory: newMemory(), feed: newFeed(), wake: make(chan struct{}, 1)}
}

// Reader returns a reader of the table.
func (t *Table) Reader() Reader { return Reader{t} }

// Find returns a key by its ID.
func (t *Table) Find(id uuid.UUID) (Found, bool) { return t.memory.find(id) }

// UseUp marks a key as used up, so that the database is not asked again.
func (t *Table) UseUp(id uuid.UUID) { t.memory.useUp(id) }

// Take brings a committed row into the table and notifies listeners.
func (t *Table) Take(r *record.Row) {
	if t.cfg.DB.Dialect == sqldb.SQLite { // with other writers, only a pull knows that nothing is missing
		for v := t.version.Load(); v < r.Version && !t.version.CompareAndSwap(v, r.Version); v = t.version.Load() {
		}
	}
	if t.memory.put(r) {
		t.feed.publish(r.ID)
	}
}

// Put takes in a row, unless the table has a newer one, and notifies nobody.
func (t *Table) Put(r *record.Row) bool { return t.memory.put(r) }

// Len returns the number of keys in the table.
func (t *Table) Len() int { return t.memory.len() }

// Trouble says why nothing can be verified or changed now, or returns nil.
func (t *Table) Trouble() error {
	if err := t.line.Trouble(); err != nil {
		return err
	}
	if t.stale.Load() {
		return errStale
	}
	return nil
}
