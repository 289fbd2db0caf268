package terminal

import (
	"bufio"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// Where nobody is there to confirm it, a login begins nothing, exits with 4 at once and names the variables to set.
func TestLoginWithoutAnybody(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
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
			r := world.NewTerminal(t, append(c.env, "ACE_ENV="+cloud.URL)...).Run("", c.args...)
			if r.Code != world.ExitNotLoggedIn || !strings.Contains(r.Stderr, "set ACE_KEY") || !strings.Contains(r.Stderr, "ACE_TOKEN") ||
				!strings.Contains(r.Stderr, "ACE_API_KEY_ID") {
				t.Errorf("it exits with %d\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
		})
	}
	text := world.OnTerminal(t, 200, []string{"ACE_ENV=" + cloud.URL, "CI=true"}, "login").Exits(world.ExitNotLoggedIn)
	if !strings.Contains(text, "set ACE_KEY") {
		t.Errorf("on a terminal of a build: %s", text)
	}
	world.OnTerminal(t, 200, []string{"ACE_ENV=" + cloud.URL, "CI=true"}, "login", "--no-browser", "--no-connect").Exits(0)
	for _, request := range cloud.Requests() {
		if request.URL.Path == "/oauth/authorize" {
			t.Error("a browser was asked for")
		}
	}
}

// A check exits with 6 where the server is offline, and with 5 where it does not take the key; each hint then works.
func TestWaysOutOfADeadKey(t *testing.T) {
	t.Parallel()
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	ace := world.NewTerminal(t, "ACE_ENV="+string(w.CloudURL))
	ace.Must("", "auth", "login-token", "--token", w.TokenOf("admin"))
	at := string(w.URL)
	ace.Must("", "connect", "--server", at, "--name", "prod")
	ace.Must("", "connections", "check", "prod")
	connections, err := w.Admin.Connections(t.Context())
	if err != nil || len(connections) != 1 {
		t.Fatalf("%v (%v)", connections, err)
	}
	if _, err := w.Operator.RevokeKey(t.Context(), connections[0].KeyID); err != nil {
		t.Fatal(err)
	}
	if r := ace.Run("", "connections", "check", "prod"); r.Code != world.ExitForbidden || !strings.Contains(r.Stderr, "ace connect --server") {
		t.Errorf("a check with a dead key exits with %d\n%s", r.Code, r.Stderr)
	}
	for _, args := range [][]string{{"api-key", "list", "--server", at}, {"why", "none", "--server", at}} {
		r := ace.Run("", args...)
		if r.Code == 0 || !strings.Contains(r.Stderr, "fix: ace connect --server "+at+"; or with a token of the server: --token -") {
			t.Errorf("%v with a dead key exits with %d\n%s", args, r.Code, r.Stderr)
		}
	}
	if r := ace.Must(w.OperatorToken.Reveal(), "api-key", "list", "--server", at, "--token", "-"); !strings.Contains(r.Stdout, "revoked") {
		t.Errorf("with a token of the server: %s", r.Stdout)
	}
	ace.Must("", "connect", "--server", at)
	if r := ace.Must("", "api-key", "list", "--server", at); !strings.Contains(r.Stdout, "revoked") {
		t.Errorf("after another connect: %s", r.Stdout)
	}
	ace.Must("", "disconnect", "prod", "--yes")
	if r := ace.Run("", "api-key", "list", "--server", at); r.Code != world.ExitNotLoggedIn || !strings.Contains(r.Stderr, "ace dev") {
		t.Errorf("without a connection it exits with %d\n%s", r.Code, r.Stderr)
	}
}

// The command that `ace dev` prints for the operator makes a token that its server takes.
func TestTheOperatorOfDev(t *testing.T) {
	t.Parallel()
	ace := world.NewTerminal(t)
	cmd := ace.Command("", "dev", "--cloud-addr", "127.0.0.1:0", "--server-addr", "127.0.0.1:0", "--data-dir", "here")
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
	shell.Env, shell.Dir = ace.Env, t.TempDir()
	token, err := shell.Output()
	if err != nil {
		t.Fatalf("%s: %v", rows["Operator"], err)
	}
	ace.Must(string(token), "api-key", "list", "--server", server, "--token", "-")
}

// Each of the three starts says so.
func TestUnknownVariablesAreNamedAtStart(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"server"}, {"cloud"}, {"dev", "--cloud-addr", "127.0.0.1:0", "--server-addr", "127.0.0.1:0"}} {
		t.Run(args[0], func(t *testing.T) {
			ace := world.NewTerminal(t, "ACE_ADDR=127.0.0.1:0", "ACE_UPSTREAM_ULR=http://127.0.0.1:1")
			cmd := ace.Command("", args...)
			said, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
			for lines := bufio.NewScanner(said); lines.Scan(); {
				if strings.Contains(lines.Text(), "ACE_UPSTREAM_ULR is not a variable of ace, and does nothing; did you mean ACE_UPSTREAM_URL?") {
					return
				}
			}
			t.Error("it is not named")
		})
	}
}
