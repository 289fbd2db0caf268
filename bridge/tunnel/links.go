package tunnel

import (
	"context"
	"crypto/ed25519"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acebridge/ace/bridge"
)

const (
	// bulkBytes is what makes a request a bulk transfer, so that small requests take another link.
	bulkBytes = 256 << 10
	// mostLinks is how many links a connection may have, of all its server processes.
	mostLinks = 16

	// A link is asked for an answer now and then, and at once after a failure; one without an answer is avoided.
	askEvery   = 15 * time.Second
	askSilent  = time.Second
	answerWait = 3 * time.Second
)

// Links are the links that a cloud has, by connection. The zero value is ready; its methods are safe for concurrent use.
type Links struct {
	// Changed is called after a link of a connection has come or gone. Nil means that nobody asks. Set it before the first link.
	Changed func(connection string)

	mu      sync.Mutex
	all     map[string][]*Link
	closing bool
	turn    uint // makes server processes take turns, and links that are as free as each other
}

// Link is one link of a server.
type Link struct {
	connection string
	key        ed25519.PublicKey // that it was opened with
	instance   string            // of the server process
	slot       int               // which of the process's links it is
	alone      bool              // it refuses links of other processes
	opened     time.Time
	client     *http.ClientConn
	open       atomic.Int32    // requests under way
	bulk       atomic.Int32    // those that have moved more than bulkBytes
	silent     atomic.Bool     // it has not answered when it was last asked
	took       atomic.Int64    // by the last answer, in nanoseconds
	again      chan struct{}   // asks at once
	done       <-chan struct{} // closed with its connection
}

// Open returns how many requests are under way on the link.
func (l *Link) Open() int { return int(l.open.Load()) }

// Opened returns when the link was opened.
func (l *Link) Opened() time.Time { return l.opened }

// Key returns the public key that the link was opened with.
func (l *Link) Key() ed25519.PublicKey { return l.key }

// Close closes the link at once, as when its key is gone.
func (l *Link) Close() { _ = l.client.Close() }

// Instance returns the ID of the server process that holds the link. It changes with each start of the server.
func (l *Link) Instance() string { return l.instance }

// Silent reports whether the link has not answered when it was last asked. Requests avoid it while there are others.
func (l *Link) Silent() bool { return l.silent.Load() }

// RoundTrip returns how long the link's last answer took, to a request that its server answers by itself; 0 before the first.
func (l *Link) RoundTrip() time.Duration { return time.Duration(l.took.Load()) }

func (l *Link) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// why returns what a failure on the link means.
func (l *Link) why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if !l.ended() && l.client.Err() == nil {
		select {
		case l.again <- struct{}{}:
		default:
		}
		return err
	}
	return bridge.E(bridge.Unreachable, bridge.CodeLinkLost, "the link to the server ended while it had this request").
		WithHint("look at what the request has done before sending it again")
}

// Server is one server process with links of a connection.
type Server struct {
	Instance  string
	Links     int
	Since     time.Time     // when its oldest link was opened
	RoundTrip time.Duration // the shortest of its links; 0: none is known
	Silent    bool          // none of its links answers
}

// Servers returns the server processes with links of a connection, in the order in which they came.
func (ls *Links) Servers(connection string) []Server {
	var servers []Server
	for _, l := range ls.Of(connection) {
		i := slices.IndexFunc(servers, func(s Server) bool { return s.Instance == l.instance })
		if i < 0 {
			i = len(servers)
			servers = append(servers, Server{Instance: l.instance, Since: l.opened, Silent: true})
		}
		s := &servers[i]
		s.Links++
		s.Silent = s.Silent && l.Silent()
		if took := l.RoundTrip(); took > 0 && (s.RoundTrip == 0 || took < s.RoundTrip) {
			s.RoundTrip = took
		}
	}
	return servers
}

var errClosing = bridge.E(bridge.Unavailable, bridge.CodeStopping, "this cloud is stopping")

// admit reports whether a link may be added.
func (ls *Links) admit(l *Link) error {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	_, err := ls.requireRoom(l)
	return err
}

// requireRoom returns the link whose place a new one takes: its server has lost it, or is about to give it up.
func (ls *Links) requireRoom(l *Link) (replaced *Link, err error) {
	if ls.closing {
		return nil, errClosing
	}
	all := ls.all[l.connection]
	for _, other := range all {
		switch {
		case other.instance != l.instance && (other.alone || l.alone) && !other.ended():
			return nil, taken("another server process has the links of this connection, and one of the two refuses replicas")
		case other.instance == l.instance && other.slot == l.slot:
			replaced = other
		}
	}
	if replaced == nil && len(all) >= mostLinks {
		return nil, taken("the connection has as many links as it may")
	}
	return replaced, nil
}

func taken(detail string) error {
	return (&bridge.Error{Kind: bridge.Conflict, Code: bridge.CodeLinkTaken, Detail: detail, RetryAfter: time.Second}).
		WithHint("stop the other server, or let both share the connection")
}

func (ls *Links) add(l *Link) {
	ls.mu.Lock()
	replaced, err := ls.requireRoom(l)
	if err != nil {
		ls.mu.Unlock()
		_ = l.client.Close()
		return
	}
	if ls.all == nil {
		ls.all = map[string][]*Link{}
	}
	all := slices.DeleteFunc(ls.all[l.connection], func(other *Link) bool { return other == replaced })
	ls.all[l.connection] = append(all, l)
	ls.mu.Unlock()
	if replaced != nil {
		go replaced.finish(context.Background())
	}
	ls.changed(l.connection)
	go ls.watch(l)
}

// watch asks a link for answers until it ends.
func (ls *Links) watch(l *Link) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.done:
			ls.remove(l)
			return
		case <-timer.C:
		case <-l.again:
		}
		l.ask()
		wait := askEvery/2 + rand.N(askEvery) //nolint:gosec // spreads load, no secret
		if l.Silent() {
			wait = askSilent
		}
		timer.Reset(wait)
	}
}

// ask asks the server for an answer that it gives by itself.
func (l *Link) ask() {
	ctx, cancel := context.WithTimeout(context.Background(), answerWait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+Protocol+askPath, nil)
	if err != nil || l.client.Reserve() != nil {
		return // it is full, so it answers
	}
	began := time.Now()
	resp, err := l.client.RoundTrip(r)
	if err == nil {
		_ = resp.Body.Close()
		l.took.Store(max(1, int64(time.Since(began))))
	}
	l.silent.Store(err != nil)
}

func (ls *Links) remove(l *Link) {
	ls.mu.Lock()
	left := slices.DeleteFunc(ls.all[l.connection], func(other *Link) bool { return other == l })
	if ls.all[l.connection] = left; len(left) == 0 {
		delete(ls.all, l.connection)
	}
	ls.mu.Unlock()
	ls.changed(l.connection)
}

func (ls *Links) changed(connection string) {
	if ls.Changed != nil {
		ls.Changed(connection)
	}
}

// Of returns the open links of a connection.
func (ls *Links) Of(connection string) []*Link {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ls.all[connection]), (*Link).ended)
}

// Cut closes the links of a connection at once, as when it is gone.
func (ls *Links) Cut(connection string) {
	for _, l := range ls.Of(connection) {
		_ = l.client.Close()
		ls.remove(l)
	}
}

// Drain takes no more links and requests, and lets requests finish until ctx ends. It closes each link as soon as it is free, so
// that its server dials another replica.
func (ls *Links) Drain(ctx context.Context) {
	ls.mu.Lock()
	ls.closing = true
	all := slices.Concat(slices.Collect(maps.Values(ls.all))...)
	ls.mu.Unlock()
	var wg sync.WaitGroup
	for _, l := range all {
		wg.Go(func() { l.finish(ctx) })
	}
	wg.Wait()
}

// finish closes a link that takes no more requests as soon as it is free, or when ctx ends.
func (l *Link) finish(ctx context.Context) {
	free := make(chan struct{}, 1)
	l.client.SetStateHook(func(*http.ClientConn) {
		select {
		case free <- struct{}{}:
		default:
		}
	})
	for l.client.InFlight() > 0 && ctx.Err() == nil && !l.ended() {
		select {
		case <-free:
		case <-l.done:
		case <-ctx.Done():
		}
	}
	_ = l.client.Close()
}

// take reserves a request on a link of a connection. Server processes take turns; of each, the freest link is taken: without
// bulk transfers, then with the fewest requests.
func (ls *Links) take(connection string) (*Link, error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closing {
		return nil, errClosing
	}
	all := ls.all[connection]
	ls.turn++
	var full uint32 // a bit for each link that takes no more
	found := false
	for range all {
		best, at := (*Link)(nil), 0
		var rank [5]int
		servers := instances(all)
		for i, l := range all {
			if full&(1<<i) != 0 || l.ended() {
				continue
			}
			found = true
			r := [5]int{flag(l.Silent()), flag(l.bulk.Load() > 0), turn(servers[i], ls.turn, servers[len(all)]), l.Open(),
				turn(i, ls.turn/uint(servers[len(all)]), len(all))}
			if best == nil || slices.Compare(r[:], rank[:]) < 0 {
				best, at, rank = l, i, r
			}
		}
		if best == nil {
			break
		}
		if best.client.Reserve() == nil {
			best.open.Add(1)
			return best, nil
		}
		full |= 1 << at
	}
	if !found {
		return nil, bridge.E(bridge.Unreachable, bridge.CodeNoLink, "the server has no link to this cloud").
			WithHint("look at `ace server` on its machine: it says why the link is down")
	}
	return nil, &bridge.Error{Kind: bridge.Unavailable, Code: bridge.CodeLinkBusy, Detail: "the links of the server take no more requests at the moment",
		RetryAfter: time.Second}
}

// instances numbers the server process of each link. The count of processes is at the end, behind the last link.
func instances(all []*Link) (number [mostLinks + 1]int) {
	n := 0
	for i, l := range all {
		first := slices.IndexFunc(all[:i], func(other *Link) bool { return other.instance == l.instance })
		if first >= 0 {
			number[i] = number[first]
			continue
		}
		number[i] = n
		n++
	}
	number[len(all)] = max(n, 1)
	return number
}

// turn returns how many turns it is until number i of n.
func turn(i int, now uint, n int) int { return int((uint(i) + uint(n) - now%uint(n)) % uint(n)) } //nolint:gosec // small and positive

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
