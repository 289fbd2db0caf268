package scan

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf16"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
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
		var r result
		a := &Scanner{Term: &term.Terminal{Interrupted: make(chan struct{})}}
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
				var r result
				if err := scanReader(context.Background(), "f", strings.NewReader(b.String()), &r); err != nil || len(r.Findings) != 1 {
					t.Errorf("width %d, big-endian %d, after %d: %d found, %v", width, big, before, len(r.Findings), err)
				}
			}
		}
	}
}

// TestScanOfWhatIsNoPlainFile: whatever is met, a key in it is found, or it is named as not searched; nothing is waited for.
func TestScanOfWhatIsNoPlainFile(t *testing.T) {
	key := "x=" + bridge.NewKey(bridge.KindLive, uuid.New()).Text().Reveal() + "\n"
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gzipped := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		return b.String()
	}
	archive := func(members map[string]string) string {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for name, text := range members {
			member, err := w.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(member, text)
		}
		_ = w.Close()
		return b.String()
	}
	write("gz/a.log.gz", gzipped(strings.Repeat("nothing\n", 1000)+key))
	write("two/a.gz", gzipped("nothing\n")+gzipped(key))
	write("cut/a.gz", gzipped(strings.Repeat(key, 100))[:40])
	write("zip/a.jar", archive(map[string]string{"etc/key": key, "readme": "nothing"}))
	write("nested/a.zip", archive(map[string]string{"b.gz": gzipped(key)}))
	write("cutzip/a.zip", archive(map[string]string{"key": key})[:60])
	write("xz/a.xz", "\xfd7zXZ\x00 and more")
	write("looks/a.txt", "PK\x03\x04 "+key)
	write("empty/a", "")
	write("loop/a", key)
	for to, name := range map[string]string{"self": "loop/self", "..": "loop/up", ".": "loop/here", "nowhere": "loop/dangling", "/dev/null": "device/null"} {
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	write("pipes/a", key)
	if err := syscall.Mkfifo(at("pipes/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := new(net.ListenConfig).Listen(t.Context(), "unix", at("pipes/socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	for _, c := range []struct {
		path                     string
		findings, files, skipped int
	}{
		{"gz", 1, 1, 0}, {"two", 1, 1, 0}, {"cut", 0, 0, 1}, {"zip", 1, 1, 0}, {"nested", 0, 1, 1}, {"cutzip", 0, 0, 1}, {"xz", 0, 0, 1}, {"looks", 1, 0, 1}, {"empty", 0, 1, 0},
		{"loop", 1, 1, 3}, {"device", 0, 0, 1}, {"device/null", 0, 1, 0}, {"pipes", 1, 1, 2}, {"pipes/socket", 0, 0, 1},
	} {
		var r result
		a := &Scanner{Term: &term.Terminal{Interrupted: make(chan struct{})}}
		if err := a.scanPath(t.Context(), at(c.path), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Findings) != c.findings || r.Files != c.files || len(r.Skipped) != c.skipped || len(r.missing) > 0 {
			t.Errorf("%s: %+v", c.path, r)
		}
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"one is not there", []string{at("nowhere"), at("gz")}, term.ExitFailed, []string{"1 key in", "nowhere: no such file"}},
		{"two are not there", []string{at("nowhere"), at("empty"), at("never")}, term.ExitUsage, []string{"nowhere: no such file", "never: no such file"}},
		{"a link to itself", []string{at("loop/self")}, term.ExitUsage, []string{"too many levels"}},
		{"stdin twice", []string{"-", "-"}, term.ExitFailed, []string{"1 key in", "not searched: -: stdin has already been read"}},
		{"packed", []string{at("xz")}, term.ExitFailed, []string{"packed (xz)", "could not be searched"}},
	} {
		code, said := inProcess(t, key, append([]string{"scan"}, c.args...)...)
		for _, want := range c.want {
			if code != c.code || !strings.Contains(said, want) {
				t.Errorf("%s: exit %d, %s", c.name, code, said)
			}
		}
	}
}

func FuzzScanPacked(f *testing.F) {
	f.Add([]byte("\x1f\x8b\x08"))
	f.Add([]byte("BZh91AY&SY"))
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r result
		if err := scanNamed(t.Context(), "f", bytes.NewReader(raw), &r); err != nil {
			t.Fatal(err)
		}
		if r.Files+len(r.Skipped) == 0 {
			t.Errorf("%q is neither searched nor named", raw)
		}
	})
}

// inProcess runs a scan in this process.
func inProcess(t *testing.T, stdin string, args ...string) (code int, said string) {
	t.Helper()
	files := [3]*os.File{}
	for i := range files {
		f, err := os.CreateTemp(t.TempDir(), "stream")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		files[i] = f
	}
	if _, err := files[0].WriteString(stdin); err != nil {
		t.Fatal(err)
	}
	if _, err := files[0].Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	s := &Scanner{Term: term.New(files[0], files[1], files[2])}
	cmd := s.Command()
	cmd.SilenceErrors, cmd.SilenceUsage, s.Term.Typed = true, true, args
	cmd.SetArgs(args[1:])
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		code = s.Term.Fail(err)
	}
	for _, f := range files[1:] {
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		said += string(text)
	}
	return code, said
}
