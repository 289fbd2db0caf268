package mark_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/mark"
)

func open(t *testing.T, dir string) *mark.File {
	t.Helper()
	m, err := mark.Open(mark.Place{Dir: dir, Role: "server"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// TestNumber checks that the number is kept, never goes back, and survives an interrupted write.
func TestNumber(t *testing.T) {
	dir := t.TempDir()
	m := open(t, dir)
	if m.Number() != 0 {
		t.Error("a new file has a number")
	}
	for _, n := range []int64{1, 5, 3, 6} {
		if err := m.Advance(n); err != nil {
			t.Fatal(err)
		}
	}
	if n := open(t, dir).Number(); n != 6 {
		t.Errorf("the file has %d, want 6", n)
	}
	path := filepath.Join(dir, "server-generation")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	torn := append([]byte(nil), raw...)
	torn[0] ^= 1 // the slot of 6, or that of 5
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := open(t, dir).Number(); n != 5 && n != 6 {
		t.Errorf("with one slot damaged the file has %d", n)
	}
	torn[512] ^= 1
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := mark.Open(mark.Place{Dir: dir, Role: "server"}, slog.New(slog.DiscardHandler)); bridge.CodeOf(err) != "generation_unreadable" {
		t.Errorf("with both damaged: %v", err)
	}
}

// TestAtOnce checks that many simultaneous writers leave the highest number, and that each finds at least its own when it
// returns.
func TestAtOnce(t *testing.T) {
	dir := t.TempDir()
	m, other := open(t, dir), open(t, dir)
	var wg sync.WaitGroup
	for n := range int64(200) {
		wg.Go(func() {
			file := m
			if n%2 == 0 {
				file = other
			}
			if err := file.Advance(n + 1); err != nil || file.Number() < n+1 {
				t.Errorf("%d: %v", n, err)
			}
		})
	}
	wg.Wait()
	if m.Number() != 200 && other.Number() != 200 {
		t.Error("neither has the highest")
	}
}
