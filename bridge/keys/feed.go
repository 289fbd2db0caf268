package keys

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// feed remembers which keys have changed lately, for those who keep answers about keys outside this process.
type feed struct {
	mu      sync.Mutex
	next    uint64                // number of the next change
	recent  [feedLength]uuid.UUID // change n is at n % feedLength
	changed chan struct{}         // closed at the next change
}

const feedLength = 1024

func newFeed() *feed { return &feed{changed: make(chan struct{})} }

func (f *feed) publish(id uuid.UUID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recent[f.next%feedLength] = id
	f.next++
	close(f.changed)
	f.changed = make(chan struct{})
}

// startOver lets every listener know that any key may have changed.
func (f *feed) startOver() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next += feedLength + 1
	close(f.changed)
	f.changed = make(chan struct{})
}

// Changes returns which keys have changed since a place in the feed, the place after them, and a channel that is closed
// at the next change. complete is false where more have changed than are remembered: then any key may have.
func (a *Authority) Changes(since uint64) (ids []uuid.UUID, next uint64, complete bool, changed <-chan struct{}) {
	f := a.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if since > f.next || f.next-since > feedLength {
		return nil, f.next, false, f.changed
	}
	for n := since; n < f.next; n++ {
		ids = append(ids, f.recent[n%feedLength])
	}
	return ids, f.next, true, f.changed
}

const (
	// overlap is how many versions are told again: changes that are made at the same time may be published out of order.
	overlap    = 100
	maxChanges = 10_000
)

// ChangedSince returns which keys have changed since a version, and the version now. complete is false where they are too
// many, or where the version is not of this database: then any key may have.
func (a *Authority) ChangedSince(ctx context.Context, version int64) (ids []uuid.UUID, now int64, complete bool, err error) {
	if now, err = a.Version(ctx); err != nil || version > now {
		return nil, now, false, err
	}
	rows, err := a.db.QueryContext(ctx, "SELECT id FROM api_keys WHERE version > $1 LIMIT $2", version-overlap, maxChanges+1)
	if err != nil {
		return nil, 0, false, fmt.Errorf("read which keys have changed: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, 0, false, fmt.Errorf("read which keys have changed: %w", err)
		}
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, 0, false, fmt.Errorf("read which keys have changed: %w", err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, false, fmt.Errorf("read which keys have changed: %w", err)
	}
	return ids, now, len(ids) <= maxChanges, nil
}

// Version is the number of the last change.
func (a *Authority) Version(ctx context.Context) (version int64, err error) {
	if err := a.db.QueryRowContext(ctx, "SELECT version FROM key_changes WHERE id = 1").Scan(&version); err != nil {
		return 0, fmt.Errorf("read the version of the keys: %w", err)
	}
	return version, nil
}

// Position is the version that a listener who was told of everything so far has reached; see [Authority.ChangedSince].
func (a *Authority) Position() int64 { return a.version.Load() }

// Fresh reports whether the table is known to be up to date.
func (a *Authority) Fresh() bool { return !a.stale.Load() }

// Generation is one of a key's secrets that is valid, and until when; zero: without an end.
type Generation struct {
	ID    uint64
	Until time.Time
}

// Generations are those of a key's secrets that are valid; none where it is not alive.
func (a *Authority) Generations(id uuid.UUID) []Generation {
	f, ok := a.table.find(id)
	now := a.seconds()
	if !ok {
		return nil
	}
	if state := f.status(now); state != StatusActive && state != StatusUsedUp {
		return nil
	}
	narrowed := f.identity()
	if a.chain(&f, &narrowed, nil, now) != nil {
		return nil
	}
	alive := []Generation{{f.generation(), narrowed.ExpiresAt}}
	if f.special != nil && now < f.special.grace {
		previous := f.previousIdentity()
		alive = append(alive, Generation{previous.Generation, previous.ExpiresAt})
	}
	return alive
}

// Knows reports whether there is a key of that ID, as far as this process knows.
func (a *Authority) Knows(id uuid.UUID) bool {
	_, ok := a.table.find(id)
	return ok
}

// Sees reports whether a view includes a key.
func (a *Authority) Sees(v View, id uuid.UUID) bool {
	f, ok := a.table.find(id)
	return ok && v.sees(Record{Org: f.org, Kind: f.kind()})
}
