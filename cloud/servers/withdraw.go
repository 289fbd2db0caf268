package servers

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/tokens"
)

const (
	// withdrawEvery is short, so that someone who loses access is out within a second.
	withdrawEvery = 500 * time.Millisecond
	// withdrawTime is how long a server may take. One that the cloud cannot reach delays nobody else; tokens there expire within
	// five minutes anyway.
	withdrawTime = 5 * time.Second
	// Simultaneous deliveries: to the servers of one organization, and in total.
	withdrawOfOrg  = 16
	withdrawAtOnce = 512
)

// deliveries counts withdrawals that are being delivered, by organization. The zero value is ready to use.
type deliveries struct {
	wg    sync.WaitGroup
	mu    sync.Mutex
	total int
	taken map[string]int
}

// begin takes one of an organization's slots, if one is free.
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

// end returns an organization's slot.
func (d *deliveries) end(org string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total--
	if d.taken[org]--; d.taken[org] == 0 {
		delete(d.taken, org)
	}
}

// sweepEvery is how often everyone who may hold a token is checked. In between, only those whom a change may affect are.
const sweepEvery = time.Minute

// keysOverlap is how many changes of keys are checked again: simultaneous ones may become known out of order.
const keysOverlap = 100

// sweep remembers when everyone was last checked, and up to which change of API keys. The zero value is ready to use.
type sweep struct {
	last time.Time
	keys int64
}

// due reports whether it is time to check everyone, and if so starts a new interval.
func (s *sweep) due(now time.Time) bool {
	if now.Sub(s.last) < sweepEvery {
		return false
	}
	s.last = now
	return true
}

// withdrawTokens tells servers about access tokens whose holders are no longer entitled to them. It does not wait for the
// servers; what finds no free slot is found again in the next round.
func (sv *Servers) withdrawTokens(ctx context.Context) error {
	known := sv.keys.Position() // read before the query: changes made meanwhile are checked again
	all, err := sv.accessTokens.LostTokens(ctx, tokens.Look{Alive: sv.KeyAlive,
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

// withdraw signs one withdrawal, delivers it and records the outcome.
func (sv *Servers) withdraw(ctx context.Context, lost tokens.Lost) error {
	w, ok, err := sv.accessTokens.WithdrawTokens(ctx, lost)
	if sqldb.IsFault(err) || err == nil && !ok {
		return err
	}
	if err != nil {
		return errors.Join(err, sv.accessTokens.WithdrawalFailed(ctx, lost, bridge.AsError(err).Detail))
	}
	bounded, cancel := context.WithTimeout(ctx, withdrawTime)
	defer cancel()
	err = sv.deliverTo(bounded, at{lost.Connection, w.Server}, "/ace/v1/api-keys/"+w.KeyID+"/access-tokens", w.Statement)
	switch {
	case ctx.Err() != nil:
		return nil // an interrupted delivery says nothing
	case err != nil:
		return errors.Join(err, sv.accessTokens.WithdrawalFailed(ctx, w.Lost, whyUndelivered(err, w.Server)))
	}
	return sv.accessTokens.Withdrawn(ctx, w)
}
