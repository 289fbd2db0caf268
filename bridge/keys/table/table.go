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

// Config is all that a table touches.
type Config struct {
	DB        *sqldb.DB
	Line      *timeline.Line
	Servers   []bridge.ServerURL // the audiences that derived access tokens may name
	Catalogue catalogue.Catalogue
	// Confirm lets an exchanged key stay at its first use, in the database and here; it must be set to verify anything.
	Confirm func(ctx context.Context, f Found, now int64) error
}

// Table is all keys of a database in memory. Its methods are safe for concurrent use; [Table.Run] has to run beside them.
type Table struct {
	cfg    Config
	line   *timeline.Line
	log    *slog.Logger
	memory *memory
	feed   *feed

	version   atomic.Int64 // all changes up to this one are in the table
	synced    atomic.Int64 // when they were last compared with the database, on the monotonic clock
	attempted atomic.Int64 // when that was last tried
	stale     atomic.Bool  // that was too long ago
	loaded    atomic.Int64 // Marks.Restored when all keys were loaded
	unread    atomic.Bool  // what has changed could not be read the last time
	wake      chan struct{}
	pulling   sync.Mutex
}

// New returns an empty table; see [Table.Load].
func New(cfg Config, log *slog.Logger) *Table {
	return &Table{cfg: cfg, line: cfg.Line, log: log, memory: newMemory(), feed: newFeed(), wake: make(chan struct{}, 1)}
}

// Reader answers from the table.
func (t *Table) Reader() Reader { return Reader{t} }

// Find returns a key by its ID.
func (t *Table) Find(id uuid.UUID) (Found, bool) { return t.memory.find(id) }

// UseUp marks a key whose uses are all taken, so that the database is not asked again.
func (t *Table) UseUp(id uuid.UUID) { t.memory.useUp(id) }

// Take brings a row that is committed into the table and tells who listens.
func (t *Table) Take(r *record.Row) {
	if t.cfg.DB.Dialect == sqldb.SQLite { // where others change keys too, only a pull knows that nothing is missing
		for v := t.version.Load(); v < r.Version && !t.version.CompareAndSwap(v, r.Version); v = t.version.Load() {
		}
	}
	if t.memory.put(r) {
		t.feed.publish(r.ID)
	}
}

// Put takes a row over, unless the table has a newer one, and tells nobody.
func (t *Table) Put(r *record.Row) bool { return t.memory.put(r) }

// Len is how many keys the table has.
func (t *Table) Len() int { return t.memory.len() }

// Trouble is why nothing can be verified or changed now; nil where it can.
func (t *Table) Trouble() error {
	if err := t.line.Trouble(); err != nil {
		return err
	}
	if t.stale.Load() {
		return errStale
	}
	return nil
}
