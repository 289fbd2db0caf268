//go:build unix

package terminal

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

func TestPickerOnTerminal(t *testing.T) {
	t.Parallel()
	w, env := world.ThreeConnections(t)

	// Chosen by a filter, and confirmed.
	x := world.OnTerminal(t, 80, env, "disconnect")
	x.Expect("Which connection do you want to disconnect?")
	x.Press("/")
	x.Press("offi")
	x.Expect("offi")
	x.Press(world.Enter)
	x.Expect("Disconnect office and revoke its key? [y/N]")
	x.Press("y" + world.Enter)
	x.Expect("Disconnected office")
	x.Exits(0)
	if names := w.Names(); strings.Contains(names, "office") || !strings.Contains(names, "laptop") {
		t.Errorf("left are %s", names)
	}

	// Left in every way, nothing is disconnected.
	for _, way := range []struct {
		name, term, keys string
		code             int
	}{
		{"Esc", "xterm-256color", world.Escape, world.ExitFailed}, {"Ctrl-C", "xterm-256color", world.CtrlC, world.ExitInterrupted},
		{"an empty answer", "dumb", world.Enter, world.ExitFailed}, {"Ctrl-C at a number", "dumb", world.CtrlC, world.ExitInterrupted},
	} {
		t.Run(way.name, func(t *testing.T) {
			x := world.OnTerminal(t, 80, append(env, "TERM="+way.term), "disconnect")
			x.Expect("Which connection do you want to disconnect?")
			x.Press(way.keys)
			x.Exits(way.code)
			if names := w.Names(); strings.Count(names, " ") != 1 {
				t.Errorf("left are %s", names)
			}
		})
	}

	// SIGTERM while the list is shown restores the terminal too.
	x = world.OnTerminal(t, 80, env, "disconnect")
	x.Expect("choose")
	if err := x.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	x.Exits(world.ExitInterrupted)
}

// Before more ends than was named, a terminal is told and asked, on terminals of every kind; no answer but yes is one.
func TestWhatElseEndsOnTerminal(t *testing.T) {
	t.Parallel()
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	parent, err := w.Operator.CreateKey(t.Context(), api.CreateKeyRequest{Name: "parent", Preset: "full"})
	if err != nil {
		t.Fatal(err)
	}
	child, err := w.Operator.As(parent.Key.Secret).CreateKey(t.Context(), api.CreateKeyRequest{Name: "child"})
	if err != nil {
		t.Fatal(err)
	}
	status := func() string {
		t.Helper()
		k, err := w.Operator.Key(t.Context(), child.KeyID)
		if err != nil {
			t.Fatal(err)
		}
		return k.Status
	}
	env := []string{"ACE_KEY=" + w.OperatorToken.Reveal()}
	x := world.OnTerminal(t, 40, env, "api-key", "list", "--server", string(w.URL))
	x.Expect("└ child")
	for line := range strings.Lines(world.Plain(x.Exits(0))) { // no line is wrapped
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
		{"no", 80, "", "", "n", world.ExitFailed, "active"}, {"narrow", 40, "", "--no-color", "", world.ExitFailed, "active"},
		{"no colours", 80, "NO_COLOR=1", "", "yo", world.ExitFailed, "active"}, {"dumb, yes", 80, "TERM=dumb", "--debug=false", "y", 0, "revoked"},
	} {
		args := []string{"api-key", "revoke", "parent", "--server", string(w.URL)}
		if c.flag != "" {
			args = append(args, c.flag)
		}
		x := world.OnTerminal(t, c.columns, append(env, c.env), args...)
		x.Expect("This also ends:")
		x.Expect("1 API key: child (ops)")
		x.Expect("[y/N]")
		x.Press(c.answer + world.Enter)
		if raw := x.Exits(c.code); c.columns == 40 && strings.Contains(raw, "\x1b[1m") {
			t.Errorf("%s: coloured: %q", c.name, raw)
		}
		if got := status(); got != c.want {
			t.Errorf("%s: the child is %s, want %s", c.name, got, c.want)
		}
	}
}

func TestMenuOnTerminal(t *testing.T) {
	t.Parallel()
	_, env := world.ThreeConnections(t)

	// A command of the menu runs, and the menu is there again; Esc leaves level by level.
	x := world.OnTerminal(t, 80, env, "-i")
	x.Expect("Connections")
	x.Expect("choose")
	x.Press(world.Enter)
	x.Expect("Make private again")
	x.Expect("choose")
	x.Press(world.Enter)
	x.Expect("$ ace connections list")
	x.Expect("cellar")
	x.Expect("Make private again")
	x.Expect("choose")
	x.Press(world.Escape)
	x.Expect("Authentication (Login/Logout)")
	x.Expect("choose")
	x.Press(world.Escape)
	x.Exits(0)

	// Ctrl-C, at every kind of question.
	for _, at := range []struct{ name, term, keys, expect string }{
		{"the menu", "xterm", "", "choose"}, {"the numbered menu", "dumb", "", "ace [1-4, empty for none]"},
		{"a menu in the menu", "dumb", "1\r", "Connections [1-7, empty for none]"},
		{"a question", "dumb", "1\r2\r", "Server's URL"}, {"a secret", "dumb", "1\r3\r\r", "API key: "},
	} {
		t.Run(at.name, func(t *testing.T) {
			x := world.OnTerminal(t, 80, append(env, "TERM="+at.term), "-i")
			x.Press(at.keys)
			x.Expect(at.expect)
			x.Press(world.CtrlC)
			x.Exits(world.ExitInterrupted)
		})
	}
}

// A secret that is typed into the menu is neither shown nor in the process's arguments, and reaches the command.
func TestMenuHidesSecrets(t *testing.T) {
	t.Parallel()
	_, env := world.ThreeConnections(t)
	const secret = "canary-typed-at-the-terminal"
	asked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" { // the discovery, so that the key is tried
			world.Reply(w, api.Discovery{Product: "ace", Version: "test", PublicURL: bridge.ServerURL("http://" + r.Host), Time: time.Now()})
			return
		}
		asked <- r.Header.Get("Authorization")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	x := world.OnTerminal(t, 120, append(env, "TERM=dumb"), "-i")
	x.Expect("[1-4, empty for none]")
	x.Press("1" + world.Enter)
	x.Expect("[1-7, empty for none]")
	x.Press("3" + world.Enter)
	x.Expect("Server's URL")
	x.Press(server.URL + world.Enter)
	x.Expect("API key: ")
	x.Press(secret + world.Enter)
	x.Expect("$ ace connect --server=" + server.URL + " --api-key=-")
	x.Expect("does not accept that key")
	select {
	case header := <-asked:
		if !strings.Contains(header, secret) {
			t.Errorf("the server was asked with %q", header)
		}
	default:
		t.Error("the server was not asked")
	}
	if line, err := os.ReadFile("/proc/" + strconv.Itoa(x.Cmd.Process.Pid) + "/cmdline"); err == nil && strings.Contains(string(line), secret) {
		t.Errorf("the arguments of the process are %q", line)
	}
	x.Expect("[1-7, empty for none]")
	x.Press(world.Enter)
	x.Expect("[1-4, empty for none]")
	x.Press(world.Enter)
	if raw := x.Exits(0); strings.Contains(raw, secret) || strings.Contains(raw, "\x1b") {
		t.Errorf("the secret is shown, or an escape code that a dumb terminal does not know: %q", raw)
	}
}

// What is asked for by a flag is not shown either, and Ctrl-C there brings the echo back.
func TestHiddenInput(t *testing.T) {
	t.Parallel()
	w, env := world.ThreeConnections(t)
	token, _, err := w.Cloud.DeveloperToken(t.Context(), "member@acme.test", "acme")
	if err != nil {
		t.Fatal(err)
	}
	env = env[:1]
	x := world.OnTerminal(t, 80, env, "auth", "login-token", "--token", "-")
	x.Expect("--token: ")
	x.Press(token.Reveal() + world.Enter)
	x.Expect("Logged in")
	if raw := x.Exits(0); strings.Contains(raw, token.Reveal()) {
		t.Error("the token is shown")
	}
	x = world.OnTerminal(t, 80, env, "auth", "login-token", "--token", "-")
	x.Expect("--token: ")
	x.Press("begun" + world.CtrlC)
	x.Exits(world.ExitInterrupted)

	// Waiting for a browser.
	x = world.OnTerminal(t, 80, append(env, "BROWSER=true"), "login", "--no-browser")
	x.Expect("Waiting …")
	x.Press(world.CtrlC)
	x.Exits(world.ExitInterrupted)
}

var (
	colour   = regexp.MustCompile(`\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7])[0-9;]*m`)
	styled   = regexp.MustCompile(`\x1b\[[0-9;]*m`)
	newLines = regexp.MustCompile(`[\r\n]+`)
)

// On 40 columns nothing is wider than the terminal, and NO_COLOR, --no-color and TERM=dumb are kept.
func TestPlainTerminals(t *testing.T) {
	t.Parallel()
	_, env := world.ThreeConnections(t)
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
			x := world.OnTerminal(t, 40, append(env, tt.env...), append([]string{"disconnect"}, tt.args...)...)
			x.Expect(tt.last)
			x.Press(world.CtrlC)
			raw := x.Exits(world.ExitInterrupted)
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
				if n := len([]rune(world.Plain(line))); n > 40 {
					t.Errorf("a line of %d columns: %q", n, line)
				}
			}
		})
	}

	// A build has nobody to ask, terminal or not.
	x := world.OnTerminal(t, 80, append(env, "CI=true"), "disconnect")
	x.Exits(world.ExitUsage)
	x = world.OnTerminal(t, 80, append(env, "CI=true"), "-i")
	x.Exits(world.ExitUsage)
}

// In a pipe there is no escape code, whatever the terminal is called, and nothing is asked.
func TestPipes(t *testing.T) {
	t.Parallel()
	_, env := world.ThreeConnections(t)
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"--help"}, 0}, {[]string{"connections", "list"}, 0}, {[]string{"connections", "check", "laptop"}, world.ExitUnreachable},
		{[]string{"auth", "status"}, 0}, {[]string{"conect"}, world.ExitUsage}, {[]string{"-i"}, world.ExitUsage},
		{[]string{"disconnect"}, world.ExitUsage}, {[]string{"disconnect", "nobody"}, world.ExitFailed},
		{[]string{"auth", "login-token", "--token", "-"}, world.ExitUsage},
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
	t.Parallel()
	answer := make(chan struct{})
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-answer
		world.Reply(w, api.List[api.Connection]{Items: []api.Connection{{Name: "laptop", ServerURL: "http://127.0.0.1:1"}}})
	}))
	defer cloud.Close()
	env := []string{"ACE_ENV=" + cloud.URL, "ACE_TOKEN=x"}
	x := world.OnTerminal(t, 80, env, "connections", "list")
	x.Expect("Waiting for 127.0.0.1:")
	close(answer)
	x.Expect("laptop")
	raw := x.Exits(0)
	if i := strings.LastIndex(raw, "Waiting for"); !strings.Contains(raw[i:strings.Index(raw, "NAME")], "\r\x1b[K") {
		t.Errorf("the line stays: %q", raw)
	}
	for _, tt := range []struct {
		env  []string
		args []string
	}{{append(env, "TERM=dumb"), nil}, {append(env, "CI=true"), nil}, {env, []string{"-q"}}} {
		x := world.OnTerminal(t, 80, tt.env, append([]string{"connections", "list"}, tt.args...)...)
		if raw := x.Exits(0); strings.Contains(raw, "\x1b") {
			t.Errorf("%v: %q", tt, raw)
		}
	}
}
