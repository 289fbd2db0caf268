package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acebridge/ace/bridge"
)

const (
	streamTail = time.Second            // in which a stream that is no event stream may end by itself
	callsEnd   = 10 * time.Second       // that calls have after Drain
	lastWords  = 500 * time.Millisecond // for what is broken off then, to say so
	newConns   = 100 * time.Millisecond // for connections that have sent nothing
	drainTick  = 10 * time.Millisecond
	retryAfter = 5 * time.Second
)

var errStopping = &bridge.Error{Kind: bridge.Unavailable, Code: bridge.CodeShuttingDown, Detail: "this process is stopping",
	Hint: "try again: another process answers, or this one when it is started again", RetryAfter: retryAfter}

// The stages of a [drain].
const (
	serving  = iota
	leaving  // readyz says so, and answers close their connections
	draining // streams end
)

// drain stops a server. It keeps track of the requests in progress.
type drain struct {
	log      *slog.Logger
	stage    atomic.Int32
	draining chan struct{}
	busy     atomic.Int64 // connections on which something is answered
	mu       sync.Mutex
	open     []*answer
}

type drainKey struct{}

func newDrain(log *slog.Logger) *drain { return &drain{log: log, draining: make(chan struct{})} }

// Draining is closed when [Serve] ends its streams, for handlers that would never end by themselves.
func Draining(ctx context.Context) <-chan struct{} {
	if d, ok := ctx.Value(drainKey{}).(*drain); ok {
		return d.draining
	}
	return nil
}

// Stopped is the error of a request that was ended because the process stops; nil for other requests.
func Stopped(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(cause, errStopping) {
		return errStopping
	}
	return nil
}

// Leaving is the error of readyz once the process is about to stop.
func Leaving(ctx context.Context) error {
	if d, ok := ctx.Value(drainKey{}).(*drain); ok && d.stage.Load() != serving {
		return errStopping
	}
	return nil
}

// stop ends what srv does; see [Serve].
func (d *drain) stop(srv *http.Server, wait time.Duration) error {
	d.stage.Store(leaving)
	if wait > 0 {
		d.log.Info("stopping; requests are still taken, so that load balancers notice", "for", wait)
		time.Sleep(wait)
	}
	d.stage.Store(draining)
	close(d.draining)
	began := time.Now()
	d.mark()
	closing, closed := context.WithCancel(context.Background())
	defer closed()
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	var down chan struct{} // not nil: no connections are taken any more
	for time.Since(began) < callsEnd {
		d.endStreams(began)
		before, all := d.underWay()
		switch {
		case down == nil && before == 0:
			down = make(chan struct{})
			go func() {
				_ = srv.Shutdown(closing)
				close(down)
			}()
			continue
		case down != nil && all == 0 && d.busy.Load() == 0:
			select {
			case <-down:
			case <-time.After(newConns):
			}
			return srv.Close()
		}
		<-tick.C
	}
	d.breakOff(tick.C)
	return srv.Close()
}

// mark marks the requests in progress, to tell them from later ones.
func (d *drain) mark() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.open {
		a.before = true
	}
}

func (d *drain) underWay() (before, all int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.open {
		if a.before {
			before++
		}
	}
	return before, len(d.open)
}

// endStreams ends the streams that are due; began is when streams began to end.
func (d *drain) endStreams(began time.Time) {
	now := time.Now()
	for _, a := range d.all() {
		if a.isDue(now, began) {
			a.end()
		}
	}
}

func (d *drain) all() []*answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]*answer(nil), d.open...)
}

// breakOff ends the requests that have not finished in time.
func (d *drain) breakOff(tick <-chan time.Time) {
	late := d.all()
	d.log.Warn("calls in progress are cut off: they have not finished in time", "calls", len(late), "time", callsEnd)
	for _, a := range late {
		a.end()
	}
	for began := time.Now(); time.Since(began) < lastWords; <-tick {
		if _, all := d.underWay(); all == 0 && d.busy.Load() == 0 {
			return
		}
	}
}

// wrap makes every request of next one that drain can end.
func (d *drain) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w, of: d}
		if r.ProtoMajor > 1 { // where a connection has many
			ctx, cancel := context.WithCancelCause(r.Context())
			defer cancel(nil)
			a.cancel, r = cancel, r.WithContext(ctx)
		}
		a.request = r
		d.enter(a)
		defer func() {
			if properly := d.leave(a); !properly {
				return
			}
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // net/http compares it likewise
				panic(p)
			}
		}()
		next.ServeHTTP(a, r)
		a.begin(http.StatusOK)
	})
}

func (d *drain) enter(a *answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a.place = len(d.open)
	d.open = append(d.open, a)
}

// leave notes that the handler has returned, and reports whether its answer counts as complete.
func (d *drain) leave(a *answer) (properly bool) {
	d.mu.Lock()
	last := len(d.open) - 1
	d.open[a.place] = d.open[last]
	d.open[a.place].place = a.place
	d.open[last] = nil
	d.open = d.open[:last]
	d.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = true
	return a.ended && a.kind.Load() == events
}

// servedConn ends the request on a connection; HTTP/1 has one at a time.
type servedConn struct {
	cancel context.CancelCauseFunc
	bound  *boundConn
}

type connKey struct{}

func connContext(ctx context.Context, c net.Conn) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	return context.WithValue(ctx, connKey{}, &servedConn{cancel, boundOf(c)})
}

// end ends the request and closes its connection to others.
func (c *servedConn) end() {
	if c.bound != nil {
		c.bound.last.Store(true)
	}
	c.cancel(errStopping)
}

func boundOf(c net.Conn) *boundConn {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	bound, _ := c.(*boundConn)
	return bound
}

// connState counts the connections that are busy.
func (d *drain) connState(c net.Conn, state http.ConnState) {
	bound, busy := boundOf(c), state == http.StateActive
	switch {
	case bound == nil || bound.busy.Swap(busy) == busy:
	case busy:
		d.busy.Add(1)
	default:
		d.busy.Add(-1)
	}
}
