package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf16"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
)

// TestScanWhatIsNamed: what is named is searched, or said not to be.
func TestScanWhatIsNamed(t *testing.T) {
	key := bridge.NewKey(bridge.KindLive, uuid.New()).Text().Reveal()
	dir, elsewhere := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(elsewhere, "deep", "f"), "x="+key)
	write(filepath.Join(dir, "repo", ".git", "config"), key)
	link := filepath.Join(dir, "link")
	for to, name := range map[string]string{elsewhere: link, filepath.Join(elsewhere, "deep", "f"): filepath.Join(dir, "filelink"),
		filepath.Join(elsewhere, "deep"): filepath.Join(dir, "tree", "out"), "f": filepath.Join(dir, "tree2", "in")} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "tree2", "f"), key)
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		if f, err := os.OpenFile(fifo, os.O_WRONLY, 0); err == nil {
			_, _ = io.WriteString(f, key)
			_ = f.Close()
		}
	}()
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path                     string
		findings, files, skipped int
	}{
		{link, 1, 1, 0}, {link + "/", 1, 1, 0}, {filepath.Join(dir, "filelink"), 1, 1, 0}, {fifo, 1, 1, 0}, {filepath.Join(dir, "repo", ".git"), 1, 1, 0},
		{filepath.Join(dir, "repo"), 0, 0, 0}, {filepath.Join(dir, "empty"), 0, 0, 0}, {filepath.Join(dir, "tree"), 0, 0, 1}, {filepath.Join(dir, "tree2"), 1, 1, 0},
	} {
		var r scanResult
		a := &app{interrupted: make(chan struct{})}
		if err := a.scanPath(context.Background(), c.path, &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Findings) != c.findings || r.Files != c.files || len(r.Skipped) != c.skipped {
			t.Errorf("%s: %+v", c.path, r)
		}
	}
}

func TestScanWideText(t *testing.T) {
	key := bridge.NewKey(bridge.KindLive, uuid.New()).Text().Reveal()
	for _, before := range []int{0, 7, scanWindow/2 - 100, scanWindow/2 - 40, scanWindow/2 - 1} {
		for width := 2; width <= 4; width += 2 {
			for big := range 2 {
				var b strings.Builder
				for _, u := range utf16.Encode([]rune(strings.Repeat(".", before) + key + " x")) {
					unit := make([]byte, width)
					unit[big*(width-1)] = byte(u)
					b.Write(unit)
				}
				var r scanResult
				if err := scanReader(context.Background(), "f", strings.NewReader(b.String()), &r); err != nil || len(r.Findings) != 1 {
					t.Errorf("width %d, big-endian %d, after %d: %d found, %v", width, big, before, len(r.Findings), err)
				}
			}
		}
	}
}
