package guard

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/acebridge/ace/bridge"
)

const sweepEvery = 250 * time.Millisecond

var errCut = bridge.E(bridge.Unauthenticated, "key_invalid", "API key is invalid or expired").
	Because(bridge.E(bridge.Unauthenticated, "key_died", "the key died while the request was under way"))

// openRequests are those under way, to be cut when their key dies.
type openRequests struct {
	mu  sync.Mutex
	all []*openRequest
}

// openRequest is one under way: all that it takes here is allocated at once.
type openRequest struct {
	among  *openRequests
	place  int // in among.all; gone: not there any more
	who    identityContext
	cancel context.CancelCauseFunc
	writer cutWriter
}

const gone = -1

// identityContext is the context of a request that has been admitted.
type identityContext struct {
	context.Context
	id bridge.Identity
}

// Value implements context.Context.
func (c *identityContext) Value(key any) any {
	if key == (identityKey{}) {
		return &c.id
	}
	return c.Context.Value(key)
}

func (o *openRequests) enter(w http.ResponseWriter, r *http.Request, id bridge.Identity) Entered {
	ctx, cancel := context.WithCancelCause(r.Context())
	open := &openRequest{among: o, who: identityContext{ctx, id}, cancel: cancel}
	open.writer.ResponseWriter, open.writer.open = w, open
	o.mu.Lock()
	open.place = len(o.all)
	o.all = append(o.all, open)
	o.mu.Unlock()
	return Entered{Request: r.WithContext(&open.who), Writer: &open.writer, open: open}
}

// remove takes out one that is under way no more; the last takes its place.
func (o *openRequests) remove(r *openRequest) {
	if r.place == gone {
		return
	}
	last := len(o.all) - 1
	o.all[r.place] = o.all[last]
	o.all[r.place].place = r.place
	o.all[last] = nil
	o.all, r.place = o.all[:last], gone
}

// end says that nothing of the request is open any more.
func (r *openRequest) end() {
	r.among.mu.Lock()
	defer r.among.mu.Unlock()
	r.among.remove(r)
}

// leave says that the handler has returned. A connection that was taken over may outlive it; its end is when it is closed.
func (r *openRequest) leave() {
	if !r.writer.leave() {
		r.end()
	}
	r.cancel(nil)
}

// sweep looks, four times a second, at everything that is open.
func (o *openRequests) sweep(ctx context.Context, alive func(bridge.Identity) bool) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var dead []*openRequest
		o.mu.Lock()
		for i := len(o.all) - 1; i >= 0; i-- { // from behind: one that is taken out gives its place to one that is looked at
			if r := o.all[i]; !alive(r.who.id) {
				dead = append(dead, r)
				o.remove(r)
			}
		}
		o.mu.Unlock()
		for _, r := range dead {
			// The writer first: a handler that ends when its context does must not make it look like a proper end.
			r.writer.cut()
			r.cancel(errCut)
		}
	}
}

// cutWriter ends what a handler writes, and the connection where the handler has taken it over.
type cutWriter struct {
	http.ResponseWriter
	mu       sync.Mutex
	hijacked net.Conn
	isCut    bool
	left     bool // the handler has returned, and the connection may serve another request
	open     *openRequest
}

// takenOver is a connection that a handler has taken over.
type takenOver struct {
	net.Conn
	open *openRequest
}

// Close implements net.Conn.
func (c *takenOver) Close() error {
	c.open.end()
	return c.Conn.Close()
}

// Unwrap lets http.ResponseController find what is below.
func (w *cutWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher, which some handlers ask for directly.
func (w *cutWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Hijack implements http.Hijacker.
func (w *cutWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hijacked = conn
	if w.isCut {
		_ = conn.Close()
	}
	return &takenOver{conn, w.open}, rw, nil
}

// leave says that the handler has returned, and reports whether it has taken the connection over.
func (w *cutWriter) leave() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = true
	return w.hijacked != nil
}

func (w *cutWriter) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = true
	switch {
	case w.hijacked != nil:
		_ = w.hijacked.Close()
		return
	case w.left:
		return
	}
	// A handler that does not watch its context fails at the next read or write.
	control := http.NewResponseController(w.ResponseWriter)
	now := time.Now()
	_ = control.SetReadDeadline(now)
	_ = control.SetWriteDeadline(now)
}
