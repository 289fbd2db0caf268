package table

import (
	"sync"

	"github.com/google/uuid"
)

// feed remembers which keys changed recently, for everyone who caches answers about keys outside this process.
type feed struct {
	mu      sync.Mutex
	next    uint64                // number of the next change
	recent  [feedLength]uuid.UUID // change n is at n % feedLength
	changed chan struct{}         // closed at the next change
}

const feedLength = 1024

func newFeed() *feed { return &feed{changed: make(chan struct{})} }

// publish records a change of a key and wakes the listeners.
func (f *feed) publish(id uuid.UUID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recent[f.next%feedLength] = id
	f.next++
	close(f.changed)
	f.changed = make(chan struct{})
}

// startOver tells all listeners that any key may have changed.
func (f *feed) startOver() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next += feedLength + 1
	close(f.changed)
	f.changed = make(chan struct{})
}
