package main

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

// screen reports whether stderr is a terminal that understands escape codes.
func (a *app) screen() bool {
	name := os.Getenv("TERM")
	return name != "dumb" && (name != "" || runtime.GOOS == "windows") && isTerminal(a.err)
}

// colours reports whether text may be coloured or bold: see no-color.org.
func (a *app) colours() bool { return !a.noColor && os.Getenv("NO_COLOR") == "" && a.screen() }

// inCI reports whether a build runs this: one that has a terminal has nobody at it.
func inCI() bool {
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

// progress holds that one line at a time says what is under way.
type progress struct{ shown atomic.Bool }

// working says on a terminal, and nowhere else, what takes its time: in one line, which done erases.
func (a *app) working(format string, args ...any) (done func()) {
	if a.quiet || inCI() || !a.screen() || !a.progress.shown.CompareAndSwap(false, true) {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		a.spin(fmt.Sprintf(format, args...), stop)
	}()
	return func() {
		close(stop)
		<-stopped
		a.progress.shown.Store(false)
	}
}

func (a *app) spin(text string, stop <-chan struct{}) {
	tick := time.NewTimer(progressAfter)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			if i > 0 {
				_, _ = fmt.Fprint(a.err, eraseLine)
			}
			return
		case <-tick.C:
		}
		_, _ = fmt.Fprintf(a.err, "\r%s %c", a.oneLine(text), `|/-\`[i%4])
		tick.Reset(progressStep)
	}
}

// oneLine cuts a text to what one line of the terminal holds, since only one line is erased again.
func (a *app) oneLine(text string) string {
	const spinner = 3
	width, _, err := term.GetSize(int(a.err.Fd()))
	runes := []rune(printable(text))
	if err == nil && len(runes) > max(width-spinner, 0) {
		runes = runes[:max(width-spinner, 0)]
	}
	return string(runes)
}

// watched is a transport that says whom the command is waiting for.
type watched struct {
	a    *app
	next http.RoundTripper
}

func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	done := w.a.working("Waiting for %s …", r.URL.Host)
	defer done()
	return w.next.RoundTrip(r)
}
