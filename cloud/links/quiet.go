package links

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acebridge/ace/bridge"
)

// quietError ends an exchange over a link that has been silent for too long. Its timeout is like one of a network.
type quietError struct{}

func (quietError) Error() string   { return "the server has been silent over its link for too long" }
func (quietError) Timeout() bool   { return true }
func (quietError) Temporary() bool { return true }

// exchange is a request over a link, and what ends it: silence, or its own end.
type exchange struct {
	silence time.Duration
	cancel  context.CancelCauseFunc
	last    atomic.Int64 // when there was traffic, in nanoseconds since 1970
	upgrade atomic.Pointer[io.Closer]

	mu      sync.Mutex
	ended   bool
	answer  *time.Timer
	silent  *time.Timer
	waiting time.Duration // for the answer, from the end of the request on
}

// nothingSent reports whether a link failed before it began to send a request.
func nothingSent(err error) bool {
	code := bridge.CodeOf(err)
	return code == bridge.CodeNoLink || code == bridge.CodeStopping || code == bridge.CodeLinkBusy
}

// over sends a request over a way that has no limits of its own. If sent is false, nothing was, and the body is as it was.
func (w *Way) over(r *http.Request, way http.RoundTripper) (resp *http.Response, sent bool, err error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	x := &exchange{silence: w.Silence, waiting: w.Answer, cancel: cancel}
	x.touch()
	out := r.WithContext(ctx)
	var body *sentBody
	if r.Body != nil && r.Body != http.NoBody {
		body = &sentBody{ReadCloser: r.Body, of: x}
		out.Body = body
	}
	x.start(body == nil)
	resp, err = way.RoundTrip(out)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, quietError{}) {
			err = cause
		}
		x.end(nil)
		read := body.settle(nothingSent(err))
		return nil, read || !nothingSent(err), err
	}
	body.settle(false)
	x.answered()
	got := &gotBody{ReadCloser: resp.Body, of: x}
	if both, ok := resp.Body.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		closer := io.Closer(both)
		x.upgrade.Store(&closer)
		resp.Body = &gotBoth{gotBody: got, w: both}
	} else {
		resp.Body = got
	}
	resp.Request = r
	return resp, true, nil
}

// start starts the clocks of an exchange.
func (x *exchange) start(sent bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.silence > 0 {
		x.silent = time.AfterFunc(x.silence, x.listen)
	}
	if sent {
		x.await()
	}
}

// await gives the server its time to answer. The caller holds the lock.
func (x *exchange) await() {
	if x.waiting > 0 && x.answer == nil && !x.ended {
		x.answer = time.AfterFunc(x.waiting, func() { x.end(quietError{}) })
	}
}

// requested notes that all of the request has been sent.
func (x *exchange) requested() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.await()
}

// answered notes that the answer has begun.
func (x *exchange) answered() {
	x.touch()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.waiting = 0
	if x.answer != nil {
		x.answer.Stop()
	}
}

func (x *exchange) touch() { x.last.Store(time.Now().UnixNano()) }

// listen ends an exchange that has been silent for all of the time, and waits for the rest of it otherwise.
func (x *exchange) listen() {
	left := x.silence - time.Duration(time.Now().UnixNano()-x.last.Load())
	if left <= 0 {
		x.end(quietError{})
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.ended {
		x.silent.Reset(left)
	}
}

// end ends an exchange, for a reason or because it is over.
func (x *exchange) end(why error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return
	}
	x.ended = true
	for _, timer := range []*time.Timer{x.answer, x.silent} {
		if timer != nil {
			timer.Stop()
		}
	}
	x.cancel(why)
	if both := x.upgrade.Load(); both != nil && why != nil {
		_ = (*both).Close()
	}
}

// sentBody is the body of a request. Until it is settled, a body that nobody has read stays open for another way.
type sentBody struct {
	io.ReadCloser

	of      *exchange
	mu      sync.Mutex
	read    bool
	closed  bool
	settled bool
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	b.read = true
	b.mu.Unlock()
	n, err := b.ReadCloser.Read(p)
	b.of.touch()
	if err != nil {
		b.of.requested()
	}
	return n, err
}

// Close implements [io.Closer].
func (b *sentBody) Close() error {
	b.mu.Lock()
	b.closed = true
	keep := !b.read && !b.settled
	b.mu.Unlock()
	if keep {
		return nil
	}
	b.of.requested()
	return b.ReadCloser.Close()
}

// settle reports whether any of the body was read, and closes it then if it was to be closed. A body that may be sent another way
// stays open.
func (b *sentBody) settle(another bool) (read bool) {
	if b == nil {
		return false
	}
	b.mu.Lock()
	b.settled = true
	read = b.read
	closing := b.closed && !b.read && !another
	b.mu.Unlock()
	if closing {
		_ = b.ReadCloser.Close()
	}
	return read
}

// gotBody is the body of a response; its end is that of the exchange.
type gotBody struct {
	io.ReadCloser

	of *exchange
}

func (b *gotBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.of.touch()
	if err != nil {
		b.of.end(nil)
	}
	return n, err
}

// Close implements [io.Closer].
func (b *gotBody) Close() error {
	b.of.end(nil)
	return b.ReadCloser.Close()
}

// gotBoth is what an upgraded connection carries, both ways.
type gotBoth struct {
	*gotBody

	w io.Writer
}

func (b *gotBoth) Write(p []byte) (int, error) {
	b.of.touch()
	return b.w.Write(p)
}
