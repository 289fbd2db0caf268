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
	streamTail = time.Second            // for a stream, other than events, to end by itself
	callsEnd   = 10 * time.Second       // for calls to finish after Drain
	lastWords  = 500 * time.Millisecond // for calls that are cut off to send an error
	newConns   = 100 * time.Millisecond // for connections that have sent nothing yet
	drainTick  = 10 * time.Millisecond
	retryAfter = 5 * time.Second
)

var errStopping = &bridge.Error{Kind: bridge.Unavailable, Code: bridge.CodeShuttingDown, Detail: "this process is stopping",
	Hint: "try again: another process answers, or this one when it is started again", RetryAfter: retryAfter}

// Stages of a [drain].
const (
	serving  = iota
	leaving  // readyz is 503, and responses close their connections
	draining // streams are ended
)

// drain stops a server. It tracks the requests in progress.
type drain struct {
	log      *slog.Logger
	stage    atomic.Int32
	draining chan struct{}
	busy     atomic.Int64 // connections on which a request is being answered
	mu       sync.Mutex
	open     []*answer
}

type drainKey struct{}

func newDrain(log *slog.Logger) *drain { return &drain{log: log, draining: make(chan struct{})} }

// Draining returns a channel that is closed when [Serve] ends its streams.
//
// Handlers that would never end by themselves watch it. It is nil outside of Serve.
func Draining(ctx context.Context) <-chan struct{} {
	if d, ok := ctx.Value(drainKey{}).(*drain); ok {
		return d.draining
	}
	return nil
}

// Stopped returns the error of a request that was ended because the process stops, or nil.
func Stopped(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(cause, errStopping) {
		return errStopping
	}
	return nil
}

// Leaving returns readyz's error once the process is about to stop, or nil.
func Leaving(ctx context.Context) error {
	if d, ok := ctx.Value(drainKey{}).(*drain); ok && d.stage.Load() != serving {
		return errStopping
	}
	return nil
}

// stop ends srv in stages; see [Serve].
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
	var down chan struct{} // not nil: new connections are no longer accepted
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

// underWay counts the marked requests in progress, and all of them.
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

// endStreams ends the streams that are due; began is when streams began to be ended.
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

// wrap tracks each request of next so that drain can end it.
func (d *drain) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w, of: d}
		if r.ProtoMajor > 1 { // a connection has many requests, each with its own context
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

// leave records that the handler has returned, and reports whether its response counts as complete.
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

// servedConn ends the request on an HTTP/1 connection, which has one at a time.
type servedConn struct {
	cancel context.CancelCauseFunc
	bound  *boundConn
}

type connKey struct{}

// connContext is http.Server.ConnContext.
func connContext(ctx context.Context, c net.Conn) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	return context.WithValue(ctx, connKey{}, &servedConn{cancel, boundOf(c)})
}

// end ends the request; its connection takes no others.
func (c *servedConn) end() {
	if c.bound != nil {
		c.bound.last.Store(true)
	}
	c.cancel(errStopping)
}

// boundOf returns the [boundConn] below a connection, or nil.
func boundOf(c net.Conn) *boundConn {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	bound, _ := c.(*boundConn)
	return bound
}

// connState is http.Server.ConnState; it counts the busy connections.
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
