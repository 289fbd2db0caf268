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

var errCut = bridge.E(bridge.Unauthenticated, bridge.CodeKeyInvalid, "API key is invalid or expired").
	Because(bridge.E(bridge.Unauthenticated, bridge.CodeKeyDied, "the key died while the request was under way"))

// Requests are those under way, each with what let it in, to be cut when that dies. The zero value is ready.
type Requests[T any] struct {
	mu  sync.Mutex
	all []*openRequest[T]
}

// openRequest is one under way: all that it takes here is allocated at once.
type openRequest[T any] struct {
	among  *Requests[T]
	place  int // in among.all; gone: not there any more
	who    admittedContext[T]
	cancel context.CancelCauseFunc
	writer cutWriter[T]
}

const gone = -1

// admittedContext is the context of a request that has been admitted.
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

// Admitted returns what let a request in that has been entered among [Requests].
func Admitted[T any](ctx context.Context) (by T, ok bool) {
	p, ok := ctx.Value(admittedKey[T]{}).(*T)
	if !ok {
		return by, false
	}
	return *p, true
}

// Entered is a request that has been admitted and is under way.
type Entered[T any] struct {
	// Request has what let it in in its context, which ends when that dies, with the reason as its cause.
	Request *http.Request
	// Writer is cut when what let the request in dies, also where a handler has taken the connection over.
	Writer http.ResponseWriter
	open   *openRequest[T]
}

// Leave says that the request is done.
func (e Entered[T]) Leave() { e.open.leave() }

// Enter takes a request among those under way, until [Entered.Leave].
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

// remove takes out one that is under way no more; the last takes its place.
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

// end says that nothing of the request is open any more.
func (r *openRequest[T]) end() {
	r.among.mu.Lock()
	defer r.among.mu.Unlock()
	r.among.remove(r)
}

// leave says that the handler has returned. A connection that was taken over may outlive it; its end is when it is closed.
func (r *openRequest[T]) leave() {
	if !r.writer.leave() {
		r.end()
	}
	r.cancel(nil)
}

// sweep looks, four times a second, at everything that is open.
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

// Cut looks once at everything that is open and ends what alive denies. It asks for one at a time, under a lock.
func (o *Requests[T]) Cut(alive func(T) bool) {
	var dead []*openRequest[T]
	o.mu.Lock()
	for i := len(o.all) - 1; i >= 0; i-- { // from behind: one that is taken out gives its place to one that is looked at
		if r := o.all[i]; !alive(r.who.by) {
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

// All lists what let those in that are open.
func (o *Requests[T]) All() []T {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]T, len(o.all))
	for i, r := range o.all {
		all[i] = r.who.by
	}
	return all
}

// cutWriter ends what a handler writes, and the connection where the handler has taken it over.
type cutWriter[T any] struct {
	http.ResponseWriter
	mu       sync.Mutex
	hijacked net.Conn
	isCut    bool
	left     bool // the handler has returned, and the connection may serve another request
	open     *openRequest[T]
}

// takenOver is a connection that a handler has taken over.
type takenOver[T any] struct {
	net.Conn
	open *openRequest[T]
}

// Close implements net.Conn.
func (c *takenOver[T]) Close() error {
	c.open.end()
	return c.Conn.Close()
}

// Unwrap lets http.ResponseController find what is below.
func (w *cutWriter[T]) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher, which some handlers ask for directly.
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

// leave says that the handler has returned, and reports whether it has taken the connection over.
func (w *cutWriter[T]) leave() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = true
	return w.hijacked != nil
}

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
	// A handler that does not watch its context fails at the next read or write.
	control := http.NewResponseController(w.ResponseWriter)
	now := time.Now()
	_ = control.SetReadDeadline(now)
	_ = control.SetWriteDeadline(now)
}
