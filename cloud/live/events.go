package live

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/who"
)

const (
	// watchEvery is how often we check which streams may continue, and whether another process has changed a connection; changes
	// by this process are streamed at once. It is why someone who signs out or loses access is cut off within a second.
	watchEvery = 400 * time.Millisecond
	// watchGather is how long changes are collected, so that many at a time are sent together.
	watchGather = 100 * time.Millisecond
	// watchBlind is how long streams continue while the database cannot be reached.
	watchBlind = 10 * time.Second
	// watchedBefore is how far back a stream starts if it does not say where the last one ended: before its page was rendered.
	watchedBefore = time.Minute

	maxStreams       = 2000 // in total; one organization may have a quarter
	maxMemberStreams = 16   // per member, for their tabs
)

// watchers are the open streams.
type watchers struct {
	mu     sync.Mutex
	all    map[*watcher]struct{}
	of     map[string]int // number of streams, by member of an organization and by organization
	closed bool
	most   int
	asked  time.Time // when we last learned which streams may continue, by the machine's clock; only [Live.tellWatchers] uses it
}

// watcher is one stream. The channel told holds one message; while it is full nothing more is fetched for the stream, so a slow
// client gets later what it could not take.
type watcher struct {
	who   accounts.Principal
	key   bridge.Identity // zero: a session
	told  chan string     // events in their wire form
	ended chan struct{}   // closed when the stream must end

	since int64 // the last change that was sent; only [Live.tellWatchers] uses it
}

// names are what the stream counts towards: the member and the organization.
func (w *watcher) names() (member, org string) {
	return w.who.OrgID + "/" + w.who.UserID, who.OrgName(w.who)
}

// add registers a stream, or refuses it if there are too many.
func (ws *watchers) add(w *watcher) error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	busy := func(format string, most int) error {
		return &bridge.Error{Kind: bridge.TooMany, Code: bridge.CodeStreamsBusy, Detail: fmt.Sprintf(format, most),
			RetryAfter: 5 * time.Second,
			Hint:       "close tabs that are not needed"}
	}
	member, org := w.names()
	switch most := who.Share(ws.most); {
	case ws.closed:
		return bridge.E(bridge.Unavailable, bridge.CodeStopping, "this cloud is stopping")
	case ws.of[member] >= maxMemberStreams:
		return busy("you have %d streams of live status open already", maxMemberStreams)
	case ws.of[org] >= most:
		return busy("your organization has %d streams of live status open already", most)
	case len(ws.all) >= ws.most:
		return busy("there are %d streams of live status open already", ws.most)
	}
	ws.all[w] = struct{}{}
	ws.of[member]++
	ws.of[org]++
	return nil
}

// remove ends a stream, or forgets one that has ended.
func (ws *watchers) remove(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if _, open := ws.all[w]; !open {
		return
	}
	delete(ws.all, w)
	close(w.ended)
	member, org := w.names()
	for _, name := range []string{member, org} {
		if ws.of[name]--; ws.of[name] == 0 {
			delete(ws.of, name)
		}
	}
}

func (ws *watchers) list() []*watcher {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	all := make([]*watcher, 0, len(ws.all))
	for w := range ws.all {
		all = append(all, w)
	}
	return all
}

// close ends all streams and refuses new ones.
func (ws *watchers) close() {
	ws.mu.Lock()
	ws.closed = true
	ws.mu.Unlock()
	for _, w := range ws.list() {
		ws.remove(w)
	}
}

// watch streams changes until ctx ends, and then ends all streams.
func (lv *Live) watch(ctx context.Context) {
	defer lv.watchers.close()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		more, err := lv.tellWatchers(ctx)
		if err != nil && ctx.Err() == nil {
			lv.log.Warn("live status could not be sent; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(watchGather):
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-lv.feed.ConnectionsChanged():
		case <-ticker.C:
		}
	}
}

// tellWatchers ends the streams that must end, and sends the others what has changed: one query for all of them, and one for each
// organization with changes. more reports that some streams are still behind.
func (lv *Live) tellWatchers(ctx context.Context) (more bool, err error) {
	asked := time.Now()
	all := lv.watchers.list()
	if len(all) == 0 {
		lv.watchers.asked = asked
		return false, nil
	}
	who := make([]accounts.Principal, len(all))
	for i, w := range all {
		who[i] = w.who
	}
	standing, err := lv.feed.Watchers(ctx, who)
	if err != nil {
		if asked.Sub(lv.watchers.asked) > watchBlind {
			for _, w := range all {
				lv.watchers.remove(w)
			}
		}
		return false, err
	}
	lv.watchers.asked = asked
	behind := map[place][]*watcher{}
	now := lv.cfg.Now()
	for i, w := range all {
		switch expires := w.who.ExpiresAt; {
		case !standing[i].Standing, !expires.IsZero() && !now.Before(expires), w.key.Type != "" && !lv.keys.Alive(w.key):
			lv.watchers.remove(w)
		case standing[i].Last > w.since && len(w.told) == 0:
			at := place{w.who.OrgID, w.since, standing[i].Last}
			behind[at] = append(behind[at], w)
		}
	}
	for at, some := range behind {
		next, err := lv.tellSome(ctx, at, some)
		if err != nil {
			return false, err
		}
		more = more || next < at.last
	}
	return more, nil
}

// place is how far an organization's streams have been told. Streams at the same place are told together.
type place struct {
	org         string
	since, last int64 // last: the organization's last change
}

// tellSome sends the next changes to streams at the same place, and returns up to which change.
func (lv *Live) tellSome(ctx context.Context, at place, some []*watcher) (next int64, err error) {
	// Tabs of the same session see the same.
	var who []accounts.Principal
	sees := make([]int, len(some))
	known := map[string]int{}
	for i, w := range some {
		session := w.who.SessionID + "/" + w.who.UserID + "/" + w.key.KeyID.String()
		n, ok := known[session]
		if !ok {
			n = len(who)
			known[session], who = n, append(who, w.who)
		}
		sees[i] = n
	}
	changes, next, err := lv.feed.Changes(ctx, at.org, at.since, at.last, who)
	if err != nil {
		return 0, err
	}
	texts := make([]strings.Builder, len(who))
	written := map[string]string{}
	for _, change := range changes {
		name := change.Event.ID
		if change.Lost {
			name = "-" + name
		}
		if _, ok := written[name]; !ok {
			if written[name], err = eventText(change); err != nil {
				return 0, err
			}
		}
		text := &texts[change.Who]
		text.WriteString(written[name])
		text.WriteString("id: " + eventID(at.org, change.Seq) + "\n\n")
	}
	for i, w := range some {
		w.since = next
		if text := texts[sees[i]].String(); text != "" {
			w.told <- text // does not block: only this goroutine sends, and only if the channel is empty
		}
	}
	return next, nil
}
