package keys

import (
	"sync"

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

// Changes returns which keys have changed since a position, the position after them, and a channel that is closed at the
// next change. complete is false where more have changed than are remembered: then any key may have. The position 0 of
// somebody new is to be replaced by the one returned.
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

// Fresh reports whether the table is known to be up to date.
func (a *Authority) Fresh() bool { return !a.stale.Load() }
