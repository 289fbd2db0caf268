package links

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/tunnel"
	"github.com/acebridge/ace/cloud/presence"
)

const (
	// grace is how long a connection may be without a link before that counts: its server dials again within three seconds.
	grace = 5 * time.Second
	// checkEvery is how often is looked whether the keys of open links still count, and who has been without a link for too long.
	checkEvery = 400 * time.Millisecond
	toldAtOnce = 16
	// keyNoted is how old a link may be for the use of its key to be noted.
	keyNoted = 10 * time.Second
)

// News is what has become of a connection's links.
type News int

// What becomes of a connection's links.
const (
	Up   News = iota // there are links
	Back             // all were lost, and some have come back within the grace
	Down             // there have been none for a while
)

// watch follows the links of this replica.
type watch struct {
	woken chan struct{}

	mu    sync.Mutex
	dirty map[string]bool // connections whose links have changed

	// The rest belongs to the goroutine of Run.
	held   map[string]bool       // as the others have been told
	lost   map[string]time.Time  // when the last link of a connection was lost, anywhere
	doomed map[*tunnel.Link]bool // whose key did not count when it was last looked at
}

// changed notes that the links of a connection have changed. It is tunnel.Links.Changed.
func (w *watch) changed(connection string) {
	w.mu.Lock()
	w.dirty[connection] = true
	w.mu.Unlock()
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// take returns the connections that have changed since it was last called.
func (w *watch) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.Collect(maps.Keys(w.dirty))
	clear(w.dirty)
	return all
}

// Run notes which links there are, tells about news, cuts links whose connection has gone, and answers other replicas, until ctx
// ends.
func (ls *Links) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if ls.hop != nil {
		wg.Go(func() { ls.hop.serve(ctx) })
	}
	wg.Go(func() { ls.lease(ctx) })
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		ls.logged(ctx, "note the links of connections", ls.note(ctx, ls.watch.take()))
		select {
		case <-ctx.Done():
		case <-ls.watch.woken:
		case <-tick.C:
			ls.logged(ctx, "check the links of connections", errors.Join(ls.cutGone(ctx), ls.tellLost(ctx)))
		}
	}
	return nil
}

func (ls *Links) logged(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		ls.log.Warn("background work failed; trying again: "+what, "error", err)
	}
}

// lease keeps this replica's lease until ctx ends, and gives it up then.
func (ls *Links) lease(ctx context.Context) {
	tick := time.NewTicker(presence.RenewEvery)
	defer tick.Stop()
	for {
		ls.logged(ctx, "renew the lease of this replica", ls.renew(ctx))
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), presence.RenewEvery)
			defer cancel()
			if err := ls.cfg.Presence.Leave(last); err != nil {
				ls.log.Warn("the lease of this replica runs out by itself", "error", err)
			}
			return
		}
	}
}

// renew renews the lease. Two replicas that cannot use each other's links must not both hold some: the younger one gives way.
func (ls *Links) renew(ctx context.Context) error {
	fresh, others, err := ls.cfg.Presence.Renew(ctx)
	if err != nil {
		return err
	}
	ls.others.Store(int64(others))
	if fresh {
		for _, connection := range ls.links.Connections() {
			ls.watch.changed(connection)
		}
	}
	if others == 0 {
		return nil
	}
	stranger, err := ls.cfg.Presence.Stranger(ctx)
	if err == nil && stranger != "" && stranger < ls.cfg.Presence.Self().ID {
		for _, connection := range ls.links.Connections() {
			ls.links.Cut(connection)
		}
	}
	return err
}

// note tells the other replicas what this one holds of some connections, and tells about those that had no link and have one now.
func (ls *Links) note(ctx context.Context, connections []string) error {
	if len(connections) == 0 {
		return nil
	}
	w := &ls.watch
	all := make([]presence.Held, len(connections))
	for i, connection := range connections {
		all[i] = ls.heldOf(connection)
	}
	if err := ls.cfg.Presence.Note(ctx, all); err != nil {
		for _, connection := range connections {
			w.changed(connection)
		}
		return err
	}
	told := map[string]News{}
	for _, h := range all {
		for _, link := range ls.links.Of(h.Connection) {
			if time.Since(link.Opened()) < keyNoted {
				ls.logged(ctx, "note the use of a link's key", ls.cfg.Used(ctx, h.Connection, link.Key()))
			}
		}
		switch _, lost := w.lost[h.Connection]; {
		case h.Links > 0 && lost:
			delete(w.lost, h.Connection)
			w.held[h.Connection], told[h.Connection] = true, Back
		case h.Links > 0 && !w.held[h.Connection]:
			w.held[h.Connection], told[h.Connection] = true, Up
		case h.Links == 0 && w.held[h.Connection]:
			delete(w.held, h.Connection)
			_, elsewhere, err := ls.cfg.Presence.Elsewhere(ctx, h.Connection)
			if err != nil || !elsewhere {
				w.lost[h.Connection] = time.Now()
			}
		}
	}
	return ls.tell(ctx, told)
}

func (ls *Links) heldOf(connection string) presence.Held {
	h := presence.Held{Connection: connection}
	for _, server := range ls.links.Servers(connection) {
		h.Links, h.Servers = h.Links+server.Links, h.Servers+1
	}
	return h
}

// tell tells about news, of some connections at a time.
func (ls *Links) tell(ctx context.Context, all map[string]News) error {
	var group errgroup.Group
	group.SetLimit(toldAtOnce)
	for connection, news := range all {
		group.Go(func() error { return ls.cfg.News(ctx, connection, news) })
	}
	return group.Wait() //nolint:wrapcheck // the function's own error
}

// tellLost tells about connections that have been without a link for too long.
func (ls *Links) tellLost(ctx context.Context) error {
	told := map[string]News{}
	for connection, since := range ls.watch.lost {
		if time.Since(since) < grace {
			continue
		}
		delete(ls.watch.lost, connection)
		if _, elsewhere, err := ls.cfg.Presence.Elsewhere(ctx, connection); err != nil || !elsewhere {
			told[connection] = Down
		}
	}
	return ls.tell(ctx, told)
}

// cutGone cuts the links whose keys count no longer, as when their connection is gone. It waits for the second look, so that the
// revocation of the connection's key can take the link.
func (ls *Links) cutGone(ctx context.Context) error {
	all := ls.links.Connections()
	if len(all) == 0 {
		return nil
	}
	keys, err := ls.cfg.Presence.Keys(ctx, all)
	if err != nil {
		return err
	}
	doomed := map[*tunnel.Link]bool{}
	for _, connection := range all {
		for _, link := range ls.links.Of(connection) {
			if slices.Contains(keys[connection], bridge.LinkKeyText(link.Key())) {
				continue
			}
			if ls.watch.doomed[link] {
				link.Close()
			}
			doomed[link] = true
		}
	}
	ls.watch.doomed = doomed
	return nil
}
