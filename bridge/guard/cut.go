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

// sweepEvery is how often [Guard.Run] looks for open requests whose credential has died; half of the 500 ms for which a
// lost stream keeps cutting (see [Remote.forget]).
const sweepEvery = 250 * time.Millisecond

// errCut is the cause of a cut request's context: the public sentence of an invalid key, with the exact reason inside.
var errCut = bridge.E(bridge.Unauthenticated, bridge.CodeKeyInvalid, "API key is invalid or expired").
	Because(bridge.E(bridge.Unauthenticated, bridge.CodeKeyDied, "the key died while the request was under way"))

// Requests tracks open requests, so that one whose credential dies can be cut.
//
// T is what admitted a request, usually an identity. The zero value is ready to use, from any number of goroutines.
type Requests[T any] struct {
	mu  sync.Mutex
	all []*openRequest[T]
}

// openRequest is one tracked request; everything it needs is a single allocation.
type openRequest[T any] struct {
	among  *Requests[T]
	place  int // index in among.all, or gone once removed
	who    admittedContext[T]
	cancel context.CancelCauseFunc
	writer cutWriter[T]
}

// gone is the place of a request that is no longer tracked.
const gone = -1

// admittedContext carries what admitted a request, without the allocation of context.WithValue.
type admittedContext[T any] struct {
	context.Context
	by T
}

type admittedKey[T any] struct{}

// Value implements context.Context.
func (c *admittedContext[T]) Value(key any) any {
	if key == (admittedKey[T]{}) {
		return &c.by
	}
	return c.Context.Value(key)
}

// Admitted returns what admitted the request that ctx belongs to.
//
// ok is false if the request was never entered into a [Requests] of the same type.
func Admitted[T any](ctx context.Context) (by T, ok bool) {
	p, ok := ctx.Value(admittedKey[T]{}).(*T)
	if !ok {
		return by, false
	}
	return *p, true
}

// Entered is an admitted request that is still open.
type Entered[T any] struct {
	// Request carries what admitted it in its context. The context ends when that dies, with the reason as its cause.
	Request *http.Request
	// Writer stops writing when the credential dies, and closes a connection that the handler has hijacked.
	Writer http.ResponseWriter
	open   *openRequest[T]
}

// Leave reports that the handler has returned; defer it.
func (e Entered[T]) Leave() { e.open.leave() }

// Enter tracks a request until [Entered.Leave].
//
// The handler must be given the returned Request and Writer instead of r and w, or a cut does not reach it.
func (o *Requests[T]) Enter(w http.ResponseWriter, r *http.Request, by T) Entered[T] {
	ctx, cancel := context.WithCancelCause(r.Context())
	open := &openRequest[T]{among: o, who: admittedContext[T]{ctx, by}, cancel: cancel}
	open.writer.ResponseWriter, open.writer.open = w, open
	o.mu.Lock()
	open.place = len(o.all)
	o.all = append(o.all, open)
	o.mu.Unlock()
	return Entered[T]{Request: r.WithContext(&open.who), Writer: &open.writer, open: open}
}

// remove forgets a request in constant time: the last one moves into its place.
func (o *Requests[T]) remove(r *openRequest[T]) {
	if r.place == gone {
		return
	}
	last := len(o.all) - 1
	o.all[r.place] = o.all[last]
	o.all[r.place].place = r.place
	o.all[last] = nil
	o.all, r.place = o.all[:last], gone
}

// end stops tracking the request: nothing of it is open any more.
func (r *openRequest[T]) end() {
	r.among.mu.Lock()
	defer r.among.mu.Unlock()
	r.among.remove(r)
}

// leave handles the handler's return. A hijacked connection may outlive the handler; it is tracked until it is closed.
func (r *openRequest[T]) leave() {
	if !r.writer.leave() {
		r.end()
	}
	r.cancel(nil)
}

// sweep cuts dead requests four times a second until ctx ends.
func (o *Requests[T]) sweep(ctx context.Context, alive func(T) bool) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			o.Cut(alive)
		}
	}
}

// Cut ends every open request whose credential is no longer alive.
//
// alive is called once per request, one at a time, while a lock is held: it must be fast and must not call o. A cut request
// gets its connection's deadlines set to now and its context cancelled; a hijacked connection is closed.
func (o *Requests[T]) Cut(alive func(T) bool) {
	var dead []*openRequest[T]
	o.mu.Lock()
	for i := len(o.all) - 1; i >= 0; i-- { // backwards: remove moves the last request, already checked, into place i
		if r := o.all[i]; !alive(r.who.by) {
			dead = append(dead, r)
			o.remove(r)
		}
	}
	o.mu.Unlock()
	for _, r := range dead {
		// The writer first: a handler that stops on its context must not make a truncated response look complete.
		r.writer.cut()
		r.cancel(errCut)
	}
}

// All returns what admitted each open request, in no particular order.
func (o *Requests[T]) All() []T {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]T, len(o.all))
	for i, r := range o.all {
		all[i] = r.who.by
	}
	return all
}

// cutWriter is a ResponseWriter that can be cut from another goroutine.
type cutWriter[T any] struct {
	http.ResponseWriter
	mu       sync.Mutex
	hijacked net.Conn
	isCut    bool
	left     bool // the handler has returned; the connection may already serve another request
	open     *openRequest[T]
}

// takenOver is a hijacked connection; closing it ends the request.
type takenOver[T any] struct {
	net.Conn
	open *openRequest[T]
}

// Close implements net.Conn.
func (c *takenOver[T]) Close() error {
	c.open.end()
	return c.Conn.Close()
}

// Unwrap lets http.ResponseController reach the underlying writer.
func (w *cutWriter[T]) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher, which some handlers assert directly.
func (w *cutWriter[T]) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Hijack implements http.Hijacker.
func (w *cutWriter[T]) Hijack() (net.Conn, *bufio.ReadWriter, error) {
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
	return &takenOver[T]{conn, w.open}, rw, nil
}

// leave records that the handler has returned, and reports whether it hijacked the connection.
func (w *cutWriter[T]) leave() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = true
	return w.hijacked != nil
}

// cut makes the next read or write fail. It does nothing after the handler has returned, since the connection may already
// serve another request.
func (w *cutWriter[T]) cut() {
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
	// A handler that does not watch its context fails at its next read or write.
	control := http.NewResponseController(w.ResponseWriter)
	now := time.Now()
	_ = control.SetReadDeadline(now)
	_ = control.SetWriteDeadline(now)
}
