//go:build unix

package world

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	xterm "golang.org/x/term"
)

// console is a terminal with the real ace in it.
type console struct {
	t        *testing.T
	Cmd      *exec.Cmd
	keys     *os.File // the terminal's own end
	tty      *os.File // the program's end
	before   *xterm.State
	readDone chan struct{}

	mu   sync.Mutex
	raw  strings.Builder
	more chan struct{} // something was written since
	seen int           // how much of the plain text has been expected already
}

// Patience only ever fails a test: nothing waits for it to pass.
const Patience = 60 * time.Second

// Keys that tests press.
const (
	CtrlC  = "\x03"
	Escape = "\x1b"
	Enter  = "\r"
)

// OnTerminal starts ace on a terminal of its own.
func OnTerminal(t *testing.T, columns uint16, env []string, args ...string) *console {
	t.Helper()
	keys, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	x := &console{t: t, keys: keys, tty: tty, more: make(chan struct{}, 1), readDone: make(chan struct{})}
	if err := pty.Setsize(keys, &pty.Winsize{Rows: 24, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	if x.before, err = xterm.GetState(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	x.Cmd = exec.Command("ace", args...)
	x.Cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TERM=xterm-256color"}, env...)
	x.Cmd.Stdin, x.Cmd.Stdout, x.Cmd.Stderr = tty, tty, tty
	x.Cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go x.read()
	t.Cleanup(func() {
		_ = x.Cmd.Process.Kill()
		_, _ = x.tty.Close(), x.keys.Close()
	})
	return x
}

func (x *console) read() {
	defer close(x.readDone)
	buf := make([]byte, 4096)
	for {
		n, err := x.keys.Read(buf)
		x.mu.Lock()
		x.raw.Write(buf[:n])
		x.mu.Unlock()
		select {
		case x.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

var (
	forward = regexp.MustCompile(`\x1b\[\d*C|\t`)
	escapes = regexp.MustCompile(`\x1b\[[0-9;?>=<$ ]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[>=78]`)
	blanks  = regexp.MustCompile(` +`)
)

// Plain is what was written, without what moves the cursor or colours.
func Plain(raw string) string {
	return blanks.ReplaceAllString(escapes.ReplaceAllString(forward.ReplaceAllString(raw, " "), ""), " ")
}

func (x *console) written() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.raw.String()
}

// Expect reads until the text appears after what was expected before.
func (x *console) Expect(text string) {
	x.t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	for {
		all := Plain(x.written())
		if i := strings.Index(all[min(x.seen, len(all)):], text); i >= 0 {
			x.seen += i + len(text)
			return
		}
		select {
		case <-x.more:
		case <-deadline.C:
			x.t.Fatalf("%q did not appear in\n%s", text, all[min(x.seen, len(all)):])
		}
	}
}

func (x *console) Press(keys string) {
	x.t.Helper()
	if _, err := io.WriteString(x.keys, keys); err != nil {
		x.t.Fatal(err)
	}
}

// Exits waits for the end, holds the exit code and that the terminal is as it was, and returns all that was written.
func (x *console) Exits(code int) string {
	x.t.Helper()
	kill := time.AfterFunc(Patience, func() { _ = x.Cmd.Process.Kill() })
	defer kill.Stop()
	err := x.Cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		x.t.Fatal(err)
	}
	after, err := xterm.GetState(int(x.tty.Fd()))
	if err != nil {
		x.t.Fatal(err)
	}
	_ = x.tty.Close() // the reader comes to an end
	<-x.readDone
	raw := x.written()
	if got := x.Cmd.ProcessState.ExitCode(); got != code {
		x.t.Fatalf("it exits with %d, want %d:\n%s", got, code, Plain(raw))
	}
	if !reflect.DeepEqual(x.before, after) {
		x.t.Errorf("the terminal is left in another state: %+v, it was %+v", after, x.before)
	}
	if strings.LastIndex(raw, "\x1b[?25l") > strings.LastIndex(raw, "\x1b[?25h") {
		x.t.Error("the cursor is left hidden")
	}
	return raw
}

// Reply answers a request with JSON.
func Reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
