package serving

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Kinds of an [answer].
const (
	notBegun  int32 = iota
	ordinary        // ends by itself
	events          // server-sent events
	endless         // of undeclared length
	takenOver       // hijacked
)

// answer is the response to a request in progress.
type answer struct {
	http.ResponseWriter
	of      *drain
	request *http.Request
	cancel  context.CancelCauseFunc // nil: the connection has one
	place   int                     // index in of.open
	before  bool                    // the request was in progress when streams began to be ended

	kind  atomic.Int32
	mu    sync.Mutex
	since time.Time // when the stream began
	conn  net.Conn  // the hijacked connection
	ended bool
	left  bool // the handler has returned; the connection may already serve another request
}

var closeConnection = []string{"close"}

// begin determines the kind of a response from the header that is about to be sent.
func (a *answer) begin(status int) {
	if a.kind.Load() != notBegun || status < http.StatusOK && status != http.StatusSwitchingProtocols {
		return
	}
	h := a.Header()
	if a.of.stage.Load() != serving && status != http.StatusSwitchingProtocols {
		h["Connection"] = closeConnection // over HTTP/2 this becomes a GOAWAY
	}
	kind := ordinary
	if a.request.Method == http.MethodGet && len(h["Content-Length"]) == 0 && status != http.StatusNoContent && status != http.StatusNotModified {
		kind = endless
		mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
		if strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream") {
			kind = events
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if kind != ordinary {
		a.since = time.Now()
	}
	a.kind.Store(kind)
}

// isDue reports whether it is time to end a stream.
func (a *answer) isDue(now, began time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch a.kind.Load() {
	case events, takenOver:
		return true
	case endless:
		return now.Sub(began) >= streamTail && now.Sub(a.since) >= streamTail
	}
	return false
}

// end ends a response: event streams cleanly, others in a way that nobody takes for complete.
func (a *answer) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended || a.left {
		return
	}
	a.ended = true
	kind, now := a.kind.Load(), time.Now()
	control := http.NewResponseController(a.ResponseWriter)
	switch kind {
	case takenOver:
		go func() { _ = a.conn.Close() }() // closing TLS sends an alert, which may block
	case events:
		_ = control.SetWriteDeadline(now.Add(streamTail))
	case notBegun:
		_ = control.SetWriteDeadline(now.Add(lastWords))
	default: // before the cancellation: a handler that stops on its context must not make the response look complete
		_ = control.SetWriteDeadline(now.Add(-time.Second))
	}
	if a.cancel != nil {
		a.cancel(errStopping)
	} else if c, ok := a.request.Context().Value(connKey{}).(*servedConn); ok {
		c.end()
	}
	if kind != takenOver {
		_ = control.SetReadDeadline(now)
	}
}

// Unwrap lets http.ResponseController reach the underlying writer.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.begin(http.StatusOK)
	return a.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (a *answer) Flush() { _ = a.FlushError() }

// FlushError flushes the response, for http.ResponseController.
func (a *answer) FlushError() error {
	a.begin(http.StatusOK)
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conn = conn
	a.kind.Store(takenOver)
	return conn, rw, nil
}
