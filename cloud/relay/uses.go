package relay

import (
	"context"
	"sync"
	"time"

	"github.com/acebridge/ace/cloud/connections"
)

const (
	usesEvery = 5 * time.Second
	maxUses   = 10_000 // pairs of member and connection that are counted at a time
)

type useKey struct{ connection, user string }

// relayUses counts calls in memory until they are stored: no call waits for the database, and a crash loses a few seconds.
type relayUses struct {
	mu   sync.Mutex
	all  map[useKey]*connections.RelayUse
	lost int64 // calls that were not counted because there are too many pairs
}

// of returns the counts of a member and a connection, or nil if there are too many. The caller holds the lock.
func (u *relayUses) of(key useKey) *connections.RelayUse {
	use := u.all[key]
	if use == nil && len(u.all) < maxUses {
		if u.all == nil {
			u.all = map[useKey]*connections.RelayUse{}
		}
		use = &connections.RelayUse{Connection: key.connection, UserID: key.user}
		u.all[key] = use
	}
	return use
}

// add counts a call; took is how long its response took to begin, or 0 if there was none.
func (u *relayUses) add(key useKey, failed bool, took time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	use := u.of(key)
	if use == nil {
		u.lost++
		return
	}
	use.Calls++
	if failed {
		use.Failures++
	}
	if took > 0 {
		use.Answers++
		use.Latency += took
		use.LatencyMax = max(use.LatencyMax, took)
	}
}

// take returns the counts and resets them.
func (u *relayUses) take(now time.Time) (uses []connections.RelayUse, lost int64) {
	u.mu.Lock()
	all, lost := u.all, u.lost
	u.all, u.lost = nil, 0
	u.mu.Unlock()
	uses = make([]connections.RelayUse, 0, len(all))
	for _, use := range all {
		use.Last = now
		uses = append(uses, *use)
	}
	return uses, lost
}

// putBack adds counts that could not be stored.
func (u *relayUses) putBack(uses []connections.RelayUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, old := range uses {
		use := u.of(useKey{old.Connection, old.UserID})
		if use == nil {
			u.lost += old.Calls
			continue
		}
		use.Calls, use.Failures, use.Answers = use.Calls+old.Calls, use.Failures+old.Failures, use.Answers+old.Answers
		use.Latency, use.LatencyMax = use.Latency+old.Latency, max(use.LatencyMax, old.LatencyMax)
	}
}

// storeUses stores what was counted since the last time.
func (rl *Relay) storeUses(ctx context.Context) error {
	uses, lost := rl.calls.uses.take(rl.cfg.Now())
	if lost > 0 {
		rl.log.Warn("calls through the relay were not counted: too many members used too many connections", "calls", lost)
	}
	if len(uses) == 0 {
		return nil
	}
	err := rl.history.AddRelayUses(ctx, uses)
	if err != nil {
		rl.calls.uses.putBack(uses)
	}
	return err
}

// count counts a call once: when its response begins, since some never end, or when it is clear that there is none.
func (l *calls) count(call *relayed, failed bool, took time.Duration) {
	if call.counted {
		return
	}
	call.counted = true
	l.uses.add(useKey{call.terms.Connection, call.terms.Principal.UserID}, failed, took)
}
