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
	mu   sync.Mutex
	next uint64
	all  map[uint64]*openRequest
}

type openRequest struct {
	id     bridge.Identity
	cancel context.CancelCauseFunc
	writer *cutWriter
}

func newOpenRequests() *openRequests { return &openRequests{all: map[uint64]*openRequest{}} }

func (o *openRequests) enter(w http.ResponseWriter, r *http.Request, id bridge.Identity) Entered {
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), identityKey{}, id))
	writer := &cutWriter{ResponseWriter: w}
	o.mu.Lock()
	n := o.next
	o.next++
	o.all[n] = &openRequest{id: id, cancel: cancel, writer: writer}
	o.mu.Unlock()
	remove := func() {
		o.mu.Lock()
		delete(o.all, n)
		o.mu.Unlock()
	}
	writer.closed = remove
	return Entered{Request: r.WithContext(ctx), Writer: writer, leave: func() {
		// A connection that was taken over may outlive its handler; its end is when it is closed.
		if !writer.leave() {
			remove()
		}
		cancel(nil)
	}}
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
		for n, r := range o.all {
			if !alive(r.id) {
				dead = append(dead, r)
				delete(o.all, n)
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
	closed   func()
}

// takenOver is a connection that a handler has taken over.
type takenOver struct {
	net.Conn
	closed func()
}

// Close implements net.Conn.
func (c *takenOver) Close() error {
	c.closed()
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
	return &takenOver{conn, w.closed}, rw, nil
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
