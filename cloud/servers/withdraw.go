package servers

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/connections"
)

const (
	// withdrawEvery is short enough for whoever loses access to be out within a second.
	withdrawEvery = 500 * time.Millisecond
	// withdrawTime is how long a server may take. One that the cloud does not reach holds nobody up; tokens there end by
	// themselves within five minutes.
	withdrawTime = 5 * time.Second
	// deliveries at a time: those of one organization's servers, and in all.
	withdrawOfOrg  = 16
	withdrawAtOnce = 512
)

// deliveries count the withdrawals that are being delivered, by organization. The zero value is ready.
type deliveries struct {
	wg    sync.WaitGroup
	mu    sync.Mutex
	total int
	taken map[string]int
}

// begin takes one of an organization's places, if there is one.
func (d *deliveries) begin(org string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.total >= withdrawAtOnce || d.taken[org] >= withdrawOfOrg {
		return false
	}
	if d.taken == nil {
		d.taken = map[string]int{}
	}
	d.total++
	d.taken[org]++
	return true
}

func (d *deliveries) end(org string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total--
	if d.taken[org]--; d.taken[org] == 0 {
		delete(d.taken, org)
	}
}

// sweepEvery is how often everybody who may hold something is looked at. In between only those are whom a change may concern.
const sweepEvery = time.Minute

// keysOverlap is how many changes of keys are checked again: concurrent ones may become known out of order.
const keysOverlap = 100

// sweep remembers when everybody was last checked, and which changes of API keys were. The zero value is ready.
type sweep struct {
	last time.Time
	keys int64
}

func (s *sweep) due(now time.Time) bool {
	if now.Sub(s.last) < sweepEvery {
		return false
	}
	s.last = now
	return true
}

// withdrawTokens tells servers of the access tokens whose holders are not entitled to them any more. It does not wait for
// the servers; what finds no place is found again the next time.
func (sv *Servers) withdrawTokens(ctx context.Context) error {
	known := sv.keys.Position() // before the question: what changes meanwhile is asked about again
	all, err := sv.accessTokens.LostTokens(ctx, connections.Look{Alive: sv.KeyAlive,
		KeysSince: sv.sweep.keys - keysOverlap, Everybody: sv.sweep.due(time.Now())})
	if err != nil {
		return err
	}
	for _, lost := range all {
		if !sv.withdrawals.begin(lost.Org) {
			known = sv.sweep.keys
			continue
		}
		sv.withdrawals.wg.Go(func() {
			defer sv.withdrawals.end(lost.Org)
			if err := sv.withdraw(ctx, lost); err != nil && ctx.Err() == nil {
				sv.log.Warn("access tokens could not be withdrawn; trying again until they expire", "connection", lost.Connection, "error", err)
			}
		})
	}
	sv.sweep.keys = known
	return nil
}

func (sv *Servers) withdraw(ctx context.Context, lost connections.Lost) error {
	w, ok, err := sv.accessTokens.WithdrawTokens(ctx, lost)
	if sqldb.IsFault(err) || err == nil && !ok {
		return err
	}
	if err != nil {
		return errors.Join(err, sv.accessTokens.WithdrawalFailed(ctx, lost, bridge.AsError(err).Detail))
	}
	bounded, cancel := context.WithTimeout(ctx, withdrawTime)
	defer cancel()
	err = sv.deliverTo(bounded, w.Server, "/ace/v1/api-keys/"+w.KeyID+"/access-tokens", w.Statement)
	switch {
	case ctx.Err() != nil:
		return nil // a delivery that was cut off says nothing
	case err != nil:
		return errors.Join(err, sv.accessTokens.WithdrawalFailed(ctx, w.Lost, notTaken(err, w.Server)))
	}
	return sv.accessTokens.Withdrawn(ctx, w)
}
