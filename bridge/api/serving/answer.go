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

// The kinds of an [answer].
const (
	notBegun int32 = iota
	ordinary       // it finishes
	events         // server-sent events
	endless        // of no declared length
	takenOver
)

// answer is the answer to a request in progress.
type answer struct {
	http.ResponseWriter
	of      *drain
	request *http.Request
	cancel  context.CancelCauseFunc // nil: the connection's
	place   int                     // in of.open
	before  bool                    // it was under way when streams began to end

	kind  atomic.Int32
	mu    sync.Mutex
	since time.Time // when a stream has begun
	conn  net.Conn  // that was taken over
	ended bool
	left  bool // the handler has returned, and the connection may serve another request
}

var closeConnection = []string{"close"}

// begin determines the kind of an answer from the header that is about to be sent.
func (a *answer) begin(status int) {
	if a.kind.Load() != notBegun || status < http.StatusOK && status != http.StatusSwitchingProtocols {
		return
	}
	h := a.Header()
	if a.of.stage.Load() != serving && status != http.StatusSwitchingProtocols {
		h["Connection"] = closeConnection // HTTP/2 makes a GOAWAY of it
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

// end ends an answer: event streams cleanly, others so that nobody takes them for complete.
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
		go func() { _ = a.conn.Close() }() // with TLS it says goodbye, which may take a while
	case events:
		_ = control.SetWriteDeadline(now.Add(streamTail))
	case notBegun:
		_ = control.SetWriteDeadline(now.Add(lastWords))
	default: // first of all: a handler that ends when its context does must not make it look like a proper end
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

// Unwrap lets http.ResponseController find the underlying writer.
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

// FlushError flushes the answer, for http.ResponseController.
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
