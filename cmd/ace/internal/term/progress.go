package term

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/acebridge/ace/bridge"
)

// Screen reports whether stderr is a terminal that understands escape codes.
func (t *Terminal) Screen() bool {
	name := os.Getenv("TERM")
	return name != "dumb" && (name != "" || runtime.GOOS == "windows") && IsTerminal(t.Err)
}

// colours reports whether text may be coloured or bold: see no-color.org.
func (t *Terminal) colours() bool { return !t.NoColor && os.Getenv("NO_COLOR") == "" && t.Screen() }

// InCI reports whether a build runs this. Even if it has a terminal, nobody is there to answer.
func InCI() bool {
	switch strings.ToLower(strings.TrimSpace(os.Getenv("CI"))) {
	case "", "0", "false":
		return false
	}
	return true
}

const (
	progressAfter = 500 * time.Millisecond // what is done sooner needs no progress
	progressStep  = 120 * time.Millisecond
	eraseLine     = "\r\x1b[K"
)

// progress makes sure that only one progress line shows at a time.
type progress struct{ shown atomic.Bool }

// Working shows a line with a spinner until done is called. It shows nothing unless stderr is a terminal, or if it takes less
// than half a second.
func (t *Terminal) Working(format string, args ...any) (done func()) {
	if t.Quiet || InCI() || !t.Screen() || !t.progress.shown.CompareAndSwap(false, true) {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		t.spin(fmt.Sprintf(format, args...), stop)
	}()
	return func() {
		close(stop)
		<-stopped
		t.progress.shown.Store(false)
	}
}

func (t *Terminal) spin(text string, stop <-chan struct{}) {
	tick := time.NewTimer(progressAfter)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			if i > 0 {
				_, _ = fmt.Fprint(t.Err, eraseLine)
			}
			return
		case <-tick.C:
		}
		_, _ = fmt.Fprintf(t.Err, "\r%s %c", t.oneLine(text), `|/-\`[i%4])
		tick.Reset(progressStep)
	}
}

// oneLine cuts text to the terminal's width. Only one line can be erased again.
func (t *Terminal) oneLine(text string) string {
	const spinner = 3
	width, _, err := term.GetSize(int(t.Err.Fd()))
	runes := []rune(bridge.Printable(text))
	if err == nil && len(runes) > max(width-spinner, 0) {
		runes = runes[:max(width-spinner, 0)]
	}
	return string(runes)
}

// watched is a transport that shows which host the command waits for.
type watched struct {
	a    *Terminal
	next http.RoundTripper
}

func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	done := w.a.Working("Waiting for %s …", r.URL.Host)
	defer done()
	return w.next.RoundTrip(r)
}
