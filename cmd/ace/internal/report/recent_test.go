package report

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

func TestRecent(t *testing.T) {
	var r Recent
	if got := r.Lines(); len(got) != 0 {
		t.Errorf("%q", got)
	}
	for i := range recentLines + 7 {
		_, _ = fmt.Fprintf(&r, "line %d\n", i)
	}
	lines := r.Lines()
	if len(lines) != recentLines || lines[0] != "line 7" || lines[recentLines-1] != fmt.Sprintf("line %d", recentLines+6) {
		t.Errorf("%d lines, from %q to %q", len(lines), lines[0], lines[len(lines)-1])
	}
	n, err := r.Write([]byte(strings.Repeat("é", recentLine)))
	if lines := r.Lines(); n != 2*recentLine || err != nil || len(lines[recentLines-1]) > recentLine+len("…") {
		t.Errorf("%d %v, kept %d bytes", n, err, len(lines[recentLines-1]))
	}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(&r, io.Discard), nil))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				log.Info("at once", "line", "a\nb")
				_ = r.Lines()
			}
		})
	}
	wg.Wait()
	for _, line := range r.Lines()[recentLines-400:] {
		if !strings.HasSuffix(line, `msg="at once" line="a\nb"`) {
			t.Fatalf("%q", line)
		}
	}
}
