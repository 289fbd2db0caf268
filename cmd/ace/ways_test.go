package main

import (
	"bufio"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Where nobody is there to confirm it, a login begins nothing, exits with 4 at once and names the variables to set.
func TestLoginWithoutAnybody(t *testing.T) {
	cloud := newFakeCloud(t)
	for name, c := range map[string]struct {
		env  []string
		args []string
	}{
		"no terminal":              {nil, []string{"login"}},
		"auth login":               {nil, []string{"auth", "login"}},
		"CI":                       {[]string{"CI=true"}, []string{"login"}},
		"CI, a browser asked for":  {[]string{"CI=1"}, []string{"login", "--browser"}},
		"CI, the code asked for":   {[]string{"CI=1"}, []string{"login", "--no-browser"}},
		"--non-interactive":        {nil, []string{"login", "--non-interactive", "--no-browser"}},
		"CI and --non-interactive": {[]string{"CI=true"}, []string{"login", "--non-interactive"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTerminal(t, append(c.env, "ACE_ENV="+cloud.URL)...).run("", c.args...)
			if r.code != term.ExitNotLoggedIn || !strings.Contains(r.stderr, "set ACE_KEY") || !strings.Contains(r.stderr, "ACE_TOKEN") ||
				!strings.Contains(r.stderr, "ACE_API_KEY_ID") {
				t.Errorf("it exits with %d\n%s%s", r.code, r.stdout, r.stderr)
			}
		})
	}
	text := onTerminal(t, 200, []string{"ACE_ENV=" + cloud.URL, "CI=true"}, "login").exits(term.ExitNotLoggedIn)
	if !strings.Contains(text, "set ACE_KEY") {
		t.Errorf("on a terminal of a build: %s", text)
	}
	onTerminal(t, 200, []string{"ACE_ENV=" + cloud.URL, "CI=true"}, "login", "--no-browser", "--no-connect").exits(0)
	for _, request := range cloud.requests() {
		if request.URL.Path == "/oauth/authorize" {
			t.Error("a browser was asked for")
		}
	}
}

// A check exits with 6 where the server is offline, and with 5 where it does not take the key; each hint then works.
func TestWaysOutOfADeadKey(t *testing.T) {
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	ace := newTerminal(t, "ACE_ENV="+string(w.cloudURL))
	ace.must("", "auth", "login-token", "--token", w.tokenOf("admin"))
	at := string(w.url)
	ace.must("", "connect", "--server", at, "--name", "prod")
	ace.must("", "connections", "check", "prod")
	connections, err := w.admin.Connections(t.Context())
	if err != nil || len(connections) != 1 {
		t.Fatalf("%v (%v)", connections, err)
	}
	if _, err := w.operator.RevokeKey(t.Context(), connections[0].KeyID); err != nil {
		t.Fatal(err)
	}
	if r := ace.run("", "connections", "check", "prod"); r.code != term.ExitForbidden || !strings.Contains(r.stderr, "ace connect --server") {
		t.Errorf("a check with a dead key exits with %d\n%s", r.code, r.stderr)
	}
	for _, args := range [][]string{{"api-key", "list", "--server", at}, {"why", "none", "--server", at}} {
		r := ace.run("", args...)
		if r.code == 0 || !strings.Contains(r.stderr, "fix: ace connect --server "+at+"; or with a token of the server: --token -") {
			t.Errorf("%v with a dead key exits with %d\n%s", args, r.code, r.stderr)
		}
	}
	if r := ace.must(w.operatorToken.Reveal(), "api-key", "list", "--server", at, "--token", "-"); !strings.Contains(r.stdout, "revoked") {
		t.Errorf("with a token of the server: %s", r.stdout)
	}
	ace.must("", "connect", "--server", at)
	if r := ace.must("", "api-key", "list", "--server", at); !strings.Contains(r.stdout, "revoked") {
		t.Errorf("after another connect: %s", r.stdout)
	}
	ace.must("", "disconnect", "prod", "--yes")
	if r := ace.run("", "api-key", "list", "--server", at); r.code != term.ExitNotLoggedIn || !strings.Contains(r.stderr, "ace dev") {
		t.Errorf("without a connection it exits with %d\n%s", r.code, r.stderr)
	}
}

// The command that `ace dev` prints for the operator makes a token that its server takes.
func TestTheOperatorOfDev(t *testing.T) {
	ace := newTerminal(t)
	cmd := ace.command("", "dev", "--cloud-addr", "127.0.0.1:0", "--server-addr", "127.0.0.1:0", "--data-dir", "here")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	rows := map[string]string{}
	for lines := bufio.NewScanner(out); rows["Stop"] == "" && lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "  ")
		rows[name] = strings.TrimSpace(value)
	}
	server, _, _ := strings.Cut(rows["Server"], " ")
	if _, err := url.Parse(server); err != nil || rows["Operator"] == "" {
		t.Fatalf("ace dev prints %v", rows)
	}
	shell := exec.CommandContext(t.Context(), "sh", "-c", rows["Operator"]) //nolint:gosec // as a person types it
	shell.Env, shell.Dir = ace.env, t.TempDir()
	token, err := shell.Output()
	if err != nil {
		t.Fatalf("%s: %v", rows["Operator"], err)
	}
	ace.must(string(token), "api-key", "list", "--server", server, "--token", "-")
}

func TestSelfCommand(t *testing.T) {
	const cached = "/somewhere/2f/2f0c5e8d7a2f0c5e8d7a2f0c5e8d7a2f0c5e8d7a2f0c5e8d7a2f0c5e8d7a2f0c-d/ace"
	for name, c := range map[string]struct {
		path, typed string
		found       bool
		want        string
	}{
		"go run":                     {"/tmp/go-build123/b001/exe/ace", "/tmp/go-build123/b001/exe/ace", false, "go run ./cmd/ace"},
		"go run of a cached program": {cached, cached, false, "go run ./cmd/ace"},
		"installed":                  {"/usr/local/bin/ace", "ace", true, "ace"},
		"built here":                 {"/home/ada/ace/ace", "./ace", false, "./ace"},
		"a path with a space":        {"/home/ada/my ace/ace", "../my ace/ace", false, `"../my ace/ace"`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := selfCommandOf(c.path, c.typed, c.found); got != c.want {
				t.Errorf("%q, not %q", got, c.want)
			}
		})
	}
}

// Variables that look like settings and are none are named, with the nearest that there is; values are not told.
func TestUnknownVariables(t *testing.T) {
	for variable, want := range map[string]string{
		"ACE_UPSTREAM_ULR":         "did you mean ACE_UPSTREAM_URL?",
		"ACE_JWT_SECRET_FIEL":      "did you mean ACE_JWT_SECRET_FILE?",
		"ACE_PUBLIC_URLS":          "did you mean ACE_PUBLIC_URL?",
		"ACE_DATABASE":             "did you mean ACE_DATABASE_URL?",
		"ace_addr":                 "did you mean ACE_ADDR?",
		"ACE_SOMETHING_ELSE":       "does nothing",
		"ACE_KEY_FILE":             "does nothing",
		"ACE_ADDR":                 "",
		"ACE_DATABASE_URL_FILE":    "",
		"ACE_SMTP_URL":             "",
		"ACE_AUTH_KEY":             "",
		"ACE_KEY":                  "",
		"ACE_API_KEY_SERVICE_NAME": "",
		"ACE_TEST_REQUIRE":         "",
		"PLACE_ADDR":               "",
	} {
		t.Run(variable, func(t *testing.T) {
			lines := unknownVariables([]string{variable + "=canary"})
			if got := strings.Join(lines, "\n"); (got == "") != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "canary") {
				t.Errorf("%q", got)
			}
		})
	}
}

// Each of the three starts says so.
func TestUnknownVariablesAreNamedAtStart(t *testing.T) {
	for _, args := range [][]string{{"server"}, {"cloud"}, {"dev", "--cloud-addr", "127.0.0.1:0", "--server-addr", "127.0.0.1:0"}} {
		t.Run(args[0], func(t *testing.T) {
			ace := newTerminal(t, "ACE_ADDR=127.0.0.1:0", "ACE_UPSTREAM_ULR=http://127.0.0.1:1")
			cmd := ace.command("", args...)
			said, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
			for lines := bufio.NewScanner(said); lines.Scan(); {
				if strings.Contains(lines.Text(), "ACE_UPSTREAM_ULR is no variable of ace, and does nothing; did you mean ACE_UPSTREAM_URL?") {
					return
				}
			}
			t.Error("it is not named")
		})
	}
}

// Every variable that the commands read is known.
func TestEveryVariableIsKnown(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(file) //nolint:gosec // of this package
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`"(ACE_[A-Z_]*[A-Z])"`).FindAllStringSubmatch(string(raw), -1) {
			if lines := unknownVariables([]string{name[1] + "=x"}); len(lines) > 0 {
				t.Errorf("%s: %s", file, lines[0])
			}
		}
	}
}
