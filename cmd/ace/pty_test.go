//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/creack/pty"
	xterm "golang.org/x/term"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// console is a terminal with the real ace in it.
type console struct {
	t        *testing.T
	cmd      *exec.Cmd
	keys     *os.File // the terminal's own end
	tty      *os.File // the program's end
	before   *xterm.State
	readDone chan struct{}

	mu   sync.Mutex
	raw  strings.Builder
	more chan struct{} // something was written since
	seen int           // how much of the plain text has been expected already
}

// patience only ever fails a test: nothing waits for it to pass.
const patience = 60 * time.Second

const (
	ctrlC  = "\x03"
	escape = "\x1b"
	enter  = "\r"
)

// onTerminal starts ace on a terminal of its own.
func onTerminal(t *testing.T, columns uint16, env []string, args ...string) *console {
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
	x.cmd = exec.Command("ace", args...)
	x.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TERM=xterm-256color"}, env...)
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = tty, tty, tty
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go x.read()
	t.Cleanup(func() {
		_ = x.cmd.Process.Kill()
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

// plain is what was written, without what moves the cursor or colours.
func plain(raw string) string {
	return blanks.ReplaceAllString(escapes.ReplaceAllString(forward.ReplaceAllString(raw, " "), ""), " ")
}

func (x *console) written() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.raw.String()
}

// expect reads until the text appears after what was expected before.
func (x *console) expect(text string) {
	x.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		all := plain(x.written())
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

func (x *console) press(keys string) {
	x.t.Helper()
	if _, err := io.WriteString(x.keys, keys); err != nil {
		x.t.Fatal(err)
	}
}

// exits waits for the end, holds the exit code and that the terminal is as it was, and returns all that was written.
func (x *console) exits(code int) string {
	x.t.Helper()
	kill := time.AfterFunc(patience, func() { _ = x.cmd.Process.Kill() })
	defer kill.Stop()
	err := x.cmd.Wait()
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
	if got := x.cmd.ProcessState.ExitCode(); got != code {
		x.t.Fatalf("it exits with %d, want %d:\n%s", got, code, plain(raw))
	}
	if !reflect.DeepEqual(x.before, after) {
		x.t.Errorf("the terminal is left in another state: %+v, it was %+v", after, x.before)
	}
	if strings.LastIndex(raw, "\x1b[?25l") > strings.LastIndex(raw, "\x1b[?25h") {
		x.t.Error("the cursor is left hidden")
	}
	return raw
}

// threeConnections is a world whose admin has connections of three servers that are away, and the environment of that
// admin.
func threeConnections(t *testing.T) (*world, []string) {
	t.Helper()
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	key := bridge.NewKey(bridge.KindSK, [16]byte{1}).Text().Disclose()
	for name, url := range map[string]string{"laptop": "http://127.0.0.1:1", "office": "http://127.0.0.1:2", "cellar": "http://127.0.0.1:3"} {
		if _, err := w.admin.Register(t.Context(), api.RegisterRequest{ServerURL: url, Name: name, APIKey: &key}); err != nil {
			t.Fatal(err)
		}
	}
	token, _, err := w.cloud.DeveloperToken(t.Context(), "admin@acme.test", "acme")
	if err != nil {
		t.Fatal(err)
	}
	return w, []string{"ACE_ENV=" + string(w.cloudURL), "ACE_TOKEN=" + token.Reveal()}
}

func (w *world) names() string {
	w.t.Helper()
	connections, err := w.admin.Connections(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, c := range connections {
		names = append(names, c.Name)
	}
	return strings.Join(names, " ")
}

func TestPickerOnTerminal(t *testing.T) {
	w, env := threeConnections(t)

	// Chosen by a filter, and confirmed.
	x := onTerminal(t, 80, env, "disconnect")
	x.expect("Disconnect which one?")
	x.press("/")
	x.press("offi")
	x.expect("offi")
	x.press(enter)
	x.expect("Disconnect office and revoke its key? [y/N]")
	x.press("y" + enter)
	x.expect("Disconnected office")
	x.exits(0)
	if names := w.names(); strings.Contains(names, "office") || !strings.Contains(names, "laptop") {
		t.Errorf("left are %s", names)
	}

	// Left in every way, nothing is disconnected.
	for _, way := range []struct {
		name, term, keys string
		code             int
	}{
		{"Esc", "xterm-256color", escape, term.ExitFailed}, {"Ctrl-C", "xterm-256color", ctrlC, term.ExitInterrupted},
		{"an empty answer", "dumb", enter, term.ExitFailed}, {"Ctrl-C at a number", "dumb", ctrlC, term.ExitInterrupted},
	} {
		t.Run(way.name, func(t *testing.T) {
			x := onTerminal(t, 80, append(env, "TERM="+way.term), "disconnect")
			x.expect("Disconnect which one?")
			x.press(way.keys)
			x.exits(way.code)
			if names := w.names(); strings.Count(names, " ") != 1 {
				t.Errorf("left are %s", names)
			}
		})
	}

	// SIGTERM while the list is shown restores the terminal too.
	x = onTerminal(t, 80, env, "disconnect")
	x.expect("choose")
	if err := x.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	x.exits(term.ExitInterrupted)
}

// Before more ends than was named, a terminal is told and asked, on terminals of every kind; no answer but yes is one.
func TestWhatElseEndsOnTerminal(t *testing.T) {
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	parent, err := w.operator.CreateKey(t.Context(), api.CreateKeyRequest{Name: "parent", Preset: "full"})
	if err != nil {
		t.Fatal(err)
	}
	child, err := w.operator.As(parent.Key.Secret).CreateKey(t.Context(), api.CreateKeyRequest{Name: "child"})
	if err != nil {
		t.Fatal(err)
	}
	status := func() string {
		t.Helper()
		k, err := w.operator.Key(t.Context(), child.KeyID)
		if err != nil {
			t.Fatal(err)
		}
		return k.Status
	}
	env := []string{"ACE_KEY=" + w.operatorToken.Reveal()}
	x := onTerminal(t, 40, env, "api-key", "list", "--server", string(w.url))
	x.expect("└ child")
	for line := range strings.Lines(plain(x.exits(0))) { // no line is wrapped
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\r\n")); n > 40 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	for _, c := range []struct {
		name    string
		columns uint16
		env     string
		flag    string
		answer  string
		code    int
		want    string
	}{
		{"no", 80, "", "", "n", term.ExitFailed, "active"}, {"narrow", 40, "", "--no-color", "", term.ExitFailed, "active"},
		{"no colours", 80, "NO_COLOR=1", "", "yo", term.ExitFailed, "active"}, {"dumb, yes", 80, "TERM=dumb", "--debug=false", "y", 0, "revoked"},
	} {
		args := []string{"api-key", "revoke", "parent", "--server", string(w.url)}
		if c.flag != "" {
			args = append(args, c.flag)
		}
		x := onTerminal(t, c.columns, append(env, c.env), args...)
		x.expect("Ends with it:")
		x.expect("1 API key: child (ops)")
		x.expect("[y/N]")
		x.press(c.answer + enter)
		if raw := x.exits(c.code); c.columns == 40 && strings.Contains(raw, "\x1b[1m") {
			t.Errorf("%s: coloured: %q", c.name, raw)
		}
		if got := status(); got != c.want {
			t.Errorf("%s: the child is %s, want %s", c.name, got, c.want)
		}
	}
}

func TestMenuOnTerminal(t *testing.T) {
	_, env := threeConnections(t)

	// A command of the menu runs, and the menu is there again; Esc leaves level by level.
	x := onTerminal(t, 80, env, "-i")
	x.expect("Connections")
	x.expect("choose")
	x.press(enter)
	x.expect("Make private again")
	x.expect("choose")
	x.press(enter)
	x.expect("$ ace connections list")
	x.expect("cellar")
	x.expect("Make private again")
	x.expect("choose")
	x.press(escape)
	x.expect("Authentication (Login/Logout)")
	x.expect("choose")
	x.press(escape)
	x.exits(0)

	// Ctrl-C, at every kind of question.
	for _, at := range []struct{ name, term, keys, expect string }{
		{"the menu", "xterm", "", "choose"}, {"the numbered menu", "dumb", "", "ace [1-4, empty for none]"},
		{"a menu in the menu", "dumb", "1\r", "Connections [1-7, empty for none]"},
		{"a question", "dumb", "1\r2\r", "Server's URL"}, {"a secret", "dumb", "1\r3\r\r", "API key: "},
	} {
		t.Run(at.name, func(t *testing.T) {
			x := onTerminal(t, 80, append(env, "TERM="+at.term), "-i")
			x.press(at.keys)
			x.expect(at.expect)
			x.press(ctrlC)
			x.exits(term.ExitInterrupted)
		})
	}
}

// A secret that is typed into the menu is neither shown nor in the process's arguments, and reaches the command.
func TestMenuHidesSecrets(t *testing.T) {
	_, env := threeConnections(t)
	const secret = "canary-typed-at-the-terminal"
	asked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" { // the discovery, so that the key is tried
			reply(w, api.Discovery{Product: "ace", Version: "test", PublicURL: bridge.ServerURL("http://" + r.Host), Time: time.Now()})
			return
		}
		asked <- r.Header.Get("Authorization")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	x := onTerminal(t, 120, append(env, "TERM=dumb"), "-i")
	x.expect("[1-4, empty for none]")
	x.press("1" + enter)
	x.expect("[1-7, empty for none]")
	x.press("3" + enter)
	x.expect("Server's URL")
	x.press(server.URL + enter)
	x.expect("API key: ")
	x.press(secret + enter)
	x.expect("$ ace connect --server=" + server.URL + " --api-key=-")
	x.expect("does not take that key")
	select {
	case header := <-asked:
		if !strings.Contains(header, secret) {
			t.Errorf("the server was asked with %q", header)
		}
	default:
		t.Error("the server was not asked")
	}
	if line, err := os.ReadFile("/proc/" + strconv.Itoa(x.cmd.Process.Pid) + "/cmdline"); err == nil && strings.Contains(string(line), secret) {
		t.Errorf("the arguments of the process are %q", line)
	}
	x.expect("[1-7, empty for none]")
	x.press(enter)
	x.expect("[1-4, empty for none]")
	x.press(enter)
	if raw := x.exits(0); strings.Contains(raw, secret) || strings.Contains(raw, "\x1b") {
		t.Errorf("the secret is shown, or an escape code that a dumb terminal does not know: %q", raw)
	}
}

// What is asked for by a flag is not shown either, and Ctrl-C there brings the echo back.
func TestHiddenInput(t *testing.T) {
	w, env := threeConnections(t)
	token, _, err := w.cloud.DeveloperToken(t.Context(), "member@acme.test", "acme")
	if err != nil {
		t.Fatal(err)
	}
	env = env[:1]
	x := onTerminal(t, 80, env, "auth", "login-token", "--token", "-")
	x.expect("--token: ")
	x.press(token.Reveal() + enter)
	x.expect("Logged in")
	if raw := x.exits(0); strings.Contains(raw, token.Reveal()) {
		t.Error("the token is shown")
	}
	x = onTerminal(t, 80, env, "auth", "login-token", "--token", "-")
	x.expect("--token: ")
	x.press("begun" + ctrlC)
	x.exits(term.ExitInterrupted)

	// Waiting for a browser.
	x = onTerminal(t, 80, append(env, "BROWSER=true"), "login", "--no-browser")
	x.expect("Waiting …")
	x.press(ctrlC)
	x.exits(term.ExitInterrupted)
}

var (
	colour   = regexp.MustCompile(`\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7])[0-9;]*m`)
	styled   = regexp.MustCompile(`\x1b\[[0-9;]*m`)
	newLines = regexp.MustCompile(`[\r\n]+`)
)

// On 40 columns nothing is wider than the terminal, and NO_COLOR, --no-color and TERM=dumb are kept.
func TestPlainTerminals(t *testing.T) {
	_, env := threeConnections(t)
	for _, tt := range []struct {
		name string
		env  []string
		args []string
		last string         // what is written last
		bad  *regexp.Regexp // nil: a colour is expected
	}{
		{"colours", nil, nil, "filter", nil},
		{"NO_COLOR", []string{"NO_COLOR=1"}, nil, "filter", colour},
		{"--no-color", nil, []string{"--no-color"}, "filter", colour},
		{"TERM=dumb", []string{"TERM=dumb"}, nil, "empty for none", regexp.MustCompile("\x1b")},
		{"no TERM", []string{"TERM="}, nil, "empty for none", regexp.MustCompile("\x1b")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := onTerminal(t, 40, append(env, tt.env...), append([]string{"disconnect"}, tt.args...)...)
			x.expect(tt.last)
			x.press(ctrlC)
			raw := x.exits(term.ExitInterrupted)
			switch {
			case tt.bad == nil && !colour.MatchString(raw):
				t.Errorf("there is no colour: %q", raw)
			case tt.bad != nil && tt.bad.MatchString(raw):
				t.Errorf("%q is written: %q", tt.bad.FindString(raw), raw)
			}
			if tt.bad != nil && tt.bad != colour {
				return // a dumb terminal wraps by itself
			}
			for _, line := range newLines.Split(styled.ReplaceAllString(raw, ""), -1) {
				if n := len([]rune(plain(line))); n > 40 {
					t.Errorf("a line of %d columns: %q", n, line)
				}
			}
		})
	}

	// A build has nobody to ask, terminal or not.
	x := onTerminal(t, 80, append(env, "CI=true"), "disconnect")
	x.exits(term.ExitUsage)
	x = onTerminal(t, 80, append(env, "CI=true"), "-i")
	x.exits(term.ExitUsage)
}

// In a pipe there is no escape code, whatever the terminal is called, and nothing is asked.
func TestPipes(t *testing.T) {
	_, env := threeConnections(t)
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"--help"}, 0}, {[]string{"connections", "list"}, 0}, {[]string{"connections", "check", "laptop"}, term.ExitUnreachable},
		{[]string{"auth", "status"}, 0}, {[]string{"conect"}, term.ExitUsage}, {[]string{"-i"}, term.ExitUsage},
		{[]string{"disconnect"}, term.ExitUsage}, {[]string{"disconnect", "nobody"}, term.ExitFailed},
		{[]string{"auth", "login-token", "--token", "-"}, term.ExitUsage},
	} {
		cmd := exec.Command("ace", tt.args...)
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TERM=xterm-256color", "CLICOLOR_FORCE=1"}, env...)
		out, err := cmd.CombinedOutput()
		if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != tt.code || strings.Contains(string(out), "\x1b") {
			t.Errorf("ace %s exits with %d: %q", strings.Join(tt.args, " "), got, out)
		}
	}
}

// What takes its time says so on a terminal, in a line that is gone in the end.
func TestProgressOnTerminal(t *testing.T) {
	answer := make(chan struct{})
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-answer
		reply(w, api.List[api.Connection]{Items: []api.Connection{{Name: "laptop", ServerURL: "http://127.0.0.1:1"}}})
	}))
	defer cloud.Close()
	env := []string{"ACE_ENV=" + cloud.URL, "ACE_TOKEN=x"}
	x := onTerminal(t, 80, env, "connections", "list")
	x.expect("Waiting for 127.0.0.1:")
	close(answer)
	x.expect("laptop")
	raw := x.exits(0)
	if i := strings.LastIndex(raw, "Waiting for"); !strings.Contains(raw[i:strings.Index(raw, "NAME")], "\r\x1b[K") {
		t.Errorf("the line stays: %q", raw)
	}
	for _, tt := range []struct {
		env  []string
		args []string
	}{{append(env, "TERM=dumb"), nil}, {append(env, "CI=true"), nil}, {env, []string{"-q"}}} {
		x := onTerminal(t, 80, tt.env, append([]string{"connections", "list"}, tt.args...)...)
		if raw := x.exits(0); strings.Contains(raw, "\x1b") {
			t.Errorf("%v: %q", tt, raw)
		}
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
