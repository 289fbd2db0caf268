package servers

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/acebridge/ace/cloud/links"
	"github.com/acebridge/ace/cloud/upkeep"
)

const (
	// linkedEvery is how often is looked whose probe over a link is due, and linkedMaxAge when it is.
	linkedEvery  = time.Second
	linkedMaxAge = 10 * time.Second
	linkedAtOnce = 32
	newsAtOnce   = 64
)

// newcomers are connections whose links have come or gone, to be probed at once.
type newcomers struct {
	of    *Servers
	lost  map[string]bool // by the last look of lostLinks
	woken chan struct{}
	wg    sync.WaitGroup

	mu      sync.Mutex
	waiting map[string]bool
	busy    int
}

func (n *newcomers) wake() {
	select {
	case n.woken <- struct{}{}:
	default:
	}
}

func (n *newcomers) add(connection string) {
	n.mu.Lock()
	n.waiting[connection] = true
	n.mu.Unlock()
	n.wake()
}

// take returns the connections for which there is room now; each has to be given to done.
func (n *newcomers) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	some := slices.Collect(maps.Keys(n.waiting))
	some = some[:min(len(some), newsAtOnce-n.busy)]
	for _, connection := range some {
		delete(n.waiting, connection)
	}
	n.busy += len(some)
	return some
}

func (n *newcomers) done() {
	n.mu.Lock()
	n.busy--
	more := len(n.waiting) > 0
	n.mu.Unlock()
	if more {
		n.wake()
	}
}

// LinkNews stores what has become of a connection's links, and has the connection probed at once.
func (sv *Servers) LinkNews(ctx context.Context, connection string, news links.News) error {
	defer sv.newcomers.add(connection)
	if news == links.Down {
		return sv.upkeep.LinkDown(ctx, connection)
	}
	return sv.upkeep.LinkUp(ctx, connection, news == links.Back)
}

// probeWaiting probes connections whose links have come or gone. It does not wait for the servers.
func (n *newcomers) probeWaiting(ctx context.Context) error {
	for _, connection := range n.take() {
		n.wg.Go(func() {
			defer n.done()
			target, ok, err := n.of.upkeep.TargetOf(ctx, connection)
			if err == nil && ok {
				err = n.of.probeAndStore(ctx, target)
			}
			if err != nil && ctx.Err() == nil {
				n.of.log.Warn("a connection could not be probed after a change of its links", "connection", connection, "error", err)
			}
		})
	}
	return nil
}

// probeLinked probes the connections with links here whose last probe is some time ago.
func (n *newcomers) probeLinked(ctx context.Context) error {
	targets, err := n.of.upkeep.LinkedTargets(ctx, n.of.links.Here(), n.of.cfg.Now().Add(-linkedMaxAge))
	if err != nil {
		return err
	}
	return atOnce(linkedAtOnce, targets, func(t upkeep.Target) error { return n.of.probeAndStore(ctx, t) })
}

// probeAndStore probes a connection and stores what was found.
func (sv *Servers) probeAndStore(ctx context.Context, t upkeep.Target) error {
	status := sv.probe(ctx, t)
	if ctx.Err() != nil {
		return nil // an interrupted probe says nothing
	}
	return sv.upkeep.SetStatus(ctx, t, status)
}

// lostLinks notes the links of replicas that have died. It acts on what it has seen twice, since a server dials again at once.
func (n *newcomers) lostLinks(ctx context.Context) error {
	lost, err := n.of.upkeep.LinksLost(ctx)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, connection := range lost {
		if !n.lost[connection] {
			seen[connection] = true
			continue
		}
		if err := n.of.LinkNews(ctx, connection, links.Down); err != nil {
			return err
		}
	}
	n.lost = seen
	return n.of.upkeep.SettleLinks(ctx)
}
