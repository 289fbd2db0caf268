package report

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Bounds of what is remembered of a log.
const (
	recentLines = 500
	recentLine  = 2 << 10 // bytes
)

// Recent remembers the last lines that were written to it, as a log's second destination. Its methods are safe for concurrent use.
type Recent struct {
	mu    sync.Mutex
	lines []string // a ring, once it is full
	next  int
}

// Write implements [io.Writer]. One call is one entry, as slog's handlers write them.
func (r *Recent) Write(p []byte) (int, error) {
	line := bridge.Clip(string(bytes.TrimRight(p[:min(len(p), recentLine+1)], "\n")), recentLine)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) < recentLines {
		r.lines = append(r.lines, line)
	} else {
		r.lines[r.next] = line
		r.next = (r.next + 1) % recentLines
	}
	return len(p), nil
}

// Lines returns them, the oldest first.
func (r *Recent) Lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(append([]string{}, r.lines[r.next:]...), r.lines[:r.next]...)
}

// Serve adds the lines to the operator's API, without what looks like a secret or is a known one.
func (r *Recent) Serve(next http.Handler, t *term.Terminal, secrets ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet || req.URL.Path != api.PathOperatorLog {
			next.ServeHTTP(w, req)
			return
		}
		scrubber, lines := t.Scrubber(secrets...), r.Lines()
		for i := range lines {
			lines[i] = scrubber.Scrub(lines[i])
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(api.OperatorLog{Lines: lines})
	})
}
