package scripts

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("NO_COLOR", "1")
			return os.Mkdir(filepath.Join(e.WorkDir, "home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"dev": cmdDev, "login": cmdLogin, "browserlogin": cmdBrowserLogin, "serve": cmdServe, "clockserver": cmdClockServer, "clock": cmdClock,
			"hangingcloud": cmdHangingCloud, "killconnect": cmdKillConnect, "mode": cmdMode, "field": cmdField,
			"foreign": cmdForeign, "sign": cmdSign, "get": cmdGet, "listens": cmdListens, "endslast": cmdEndsLast, "exits": cmdExits, "write": cmdWrite, "twofactor": cmdTwoFactor,
		},
	})
}

// environment is the script's, for the processes that a command starts by itself.
func environment(ts *testscript.TestScript, extra ...string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "NO_COLOR=1"}
	for _, name := range []string{"HOME", "ACE_ENV", "ACE_PROFILE", "ACE_KEY", "ACE_TOKEN"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return append(env, extra...)
}

// start runs ace beside the script until the script ends, and interrupts it then.
func start(ts *testscript.TestScript, env []string, args ...string) (stdout, stderr *bufio.Reader, cmd *exec.Cmd) {
	cmd = exec.Command("ace", args...)
	cmd.Env, cmd.Dir = env, ts.MkAbs(".")
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	errPipe, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	return bufio.NewReader(out), bufio.NewReader(errPipe), cmd
}

func stopAtEnd(ts *testscript.TestScript, cmd *exec.Cmd) {
	ts.Defer(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			ts.Logf("%s did not stop well: %v", cmd, err)
		}
	})
}

// cmdDev starts `ace dev` on free ports and puts what it prints into the script's environment.
func cmdDev(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: dev [FLAG…]")
	}
	args = append([]string{"dev", "-o", "json", "--cloud-addr", "127.0.0.1:0"}, args...)
	if !slices.Contains(args, "--nat") {
		args = append(args, "--server-addr", "127.0.0.1:0")
	}
	stdout, stderr, cmd := start(ts, environment(ts), args...)
	stopAtEnd(ts, cmd)
	line, err := stdout.ReadBytes('\n')
	if err != nil {
		rest, _ := io.ReadAll(stderr)
		ts.Fatalf("ace dev printed no line: %v\n%s", err, rest)
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	var r struct {
		CloudURL    string `json:"cloud_url"`
		ServerURL   string `json:"server_url"`
		UpstreamURL string `json:"upstream_url"`
		Admin       struct{ Email, Password, Token string }
		Member      struct{ Email, Password, Token string }
		ServerToken string `json:"server_admin_token"`
		Connection  string // with --nat
	}
	ts.Check(json.Unmarshal(line, &r))
	for name, value := range map[string]string{
		"CLOUD": r.CloudURL, "SERVER": r.ServerURL, "UPSTREAM": r.UpstreamURL, "ACE_ENV": r.CloudURL,
		"ADMIN": r.Admin.Email, "ADMIN_PASSWORD": r.Admin.Password, "ADMIN_TOKEN": r.Admin.Token,
		"MEMBER": r.Member.Email, "MEMBER_PASSWORD": r.Member.Password, "MEMBER_TOKEN": r.Member.Token,
		"SERVER_TOKEN": r.ServerToken, "CLOUDHOST": strings.TrimPrefix(r.CloudURL, "http://"),
	} {
		if value == "" {
			ts.Fatalf("ace dev -o json leaves %s empty: %s", name, line)
		}
		ts.Setenv(name, value)
	}
	ts.Setenv("CONNECTION", r.Connection)
	ts.Setenv("DEV_PID", strconv.Itoa(cmd.Process.Pid))
}

// cmdListens holds how many TCP ports a process listens on: listens PID N.
func cmdListens(ts *testscript.TestScript, _ bool, args []string) {
	sockets, err := filepath.Glob("/proc/" + args[0] + "/fd/*")
	ts.Check(err)
	mine := map[string]bool{}
	for _, fd := range sockets {
		if link, err := os.Readlink(fd); err == nil {
			mine[strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")] = true
		}
	}
	if len(mine) == 0 {
		ts.Logf("there is no /proc to look at")
		return
	}
	n := 0
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		raw, err := os.ReadFile(table)
		ts.Check(err)
		for line := range strings.Lines(string(raw)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && mine[f[9]] {
				n++
			}
		}
	}
	if strconv.Itoa(n) != args[1] {
		ts.Fatalf("process %s listens on %d ports, not on %s", args[0], n, args[1])
	}
}

// cmdEndsLast kills at the end of the script the process whose ID is in a file then, if there is one: endslast FILE.
func cmdEndsLast(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[0])
	ts.Defer(func() {
		raw, _ := os.ReadFile(file) // none: it has ended
		if pid, err := strconv.Atoi(strings.TrimSpace(string(raw))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
}

var codePattern = regexp.MustCompile(`confirm the code (\S+)`)

// cmdLogin runs `ace login` and decides its code in the dashboard as another client: login approve|deny EMAIL PASSWORD
// [FLAG…]. What ace printed is in login.out and login.err.
func cmdLogin(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: login approve|deny EMAIL PASSWORD [FLAG…]")
	}
	stdout, stderr, cmd := start(ts, environment(ts), append([]string{"login", "--no-browser"}, args[3:]...)...)
	var said strings.Builder
	if code := readUntil(stderr, &said, codePattern); code != "" {
		decide(ts, args[0], args[1], args[2], code)
	}
	finishLogin(ts, neg, stdout, stderr, cmd, &said)
}

// readUntil reads lines until one has what the pattern looks for, and returns that, or "" at the end.
func readUntil(r *bufio.Reader, said *strings.Builder, pattern *regexp.Regexp) string {
	for {
		line, err := r.ReadString('\n')
		said.WriteString(line)
		if m := pattern.FindStringSubmatch(line); m != nil {
			return m[1]
		}
		if err != nil {
			return ""
		}
	}
}

func finishLogin(ts *testscript.TestScript, neg bool, stdout, stderr *bufio.Reader, cmd *exec.Cmd, said *strings.Builder) {
	out, err := io.ReadAll(stdout)
	ts.Check(err)
	rest, err := io.ReadAll(stderr)
	ts.Check(err)
	said.Write(rest)
	err = cmd.Wait()
	ts.Check(os.WriteFile(ts.MkAbs("login.out"), out, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("login.err"), []byte(said.String()), 0o600))
	ts.Logf("[login]\n%s%s", out, said.String())
	if (err != nil) != neg {
		ts.Fatalf("ace login: %v", err)
	}
}

var pagePattern = regexp.MustCompile(`^Open (\S+)`)

// cmdBrowserLogin is cmdLogin for `ace login --browser`: browserlogin approve|deny EMAIL PASSWORD [FLAG…]. The page that the
// browser ends at is in page.
func cmdBrowserLogin(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: browserlogin approve|deny EMAIL PASSWORD [FLAG…]")
	}
	stdout, stderr, cmd := start(ts, environment(ts), append([]string{"login", "--browser"}, args[3:]...)...)
	var said strings.Builder
	if page, err := url.Parse(readUntil(stderr, &said, pagePattern)); err == nil && page.Host != "" {
		post := dashboardForms(ts, ts.Getenv("CLOUD"), args[1], args[2], page.RequestURI())
		form := page.Query()
		form.Set("action", args[0])
		ts.Check(os.WriteFile(ts.MkAbs("page"), post(page.Path, form), 0o600))
	}
	finishLogin(ts, neg, stdout, stderr, cmd, &said)
}

// decide is the second client: it signs in on the dashboard and decides the code there.
func decide(ts *testscript.TestScript, action, email, password, code string) {
	post := dashboardForms(ts, ts.Getenv("CLOUD"), email, password, "/device?user_code="+code)
	post("/device", url.Values{"user_code": {code}, "action": {action}})
}

// dashboardForms signs in on a cloud's dashboard, and returns what posts forms from then on.
func dashboardForms(t interface{ Fatalf(string, ...any) }, cloud, email, password, next string) func(path string, form url.Values) []byte {
	jar, _ := cookiejar.New(nil) // of no options, which never fails
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	post := func(path string, form url.Values) []byte {
		resp, err := browser.PostForm(cloud+path, form)
		if err != nil {
			t.Fatalf("POST %s: %v", path, err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("POST %s: %s\n%s", path, resp.Status, body)
		}
		return body
	}
	post("/login", url.Values{"email": {email}, "password": {password}, "next": {next}})
	return post
}

var upPattern = regexp.MustCompile(`server is up.* addr=(\S+)`)

// cmdServe starts `ace server` on a free port: serve NAME [VARIABLE=VALUE…]. Its URL is in $NAME.
func cmdServe(ts *testscript.TestScript, _ bool, args []string) {
	env := environment(ts, append([]string{"ACE_ADDR=127.0.0.1:0", "ACE_DATA_DIR=" + ts.MkAbs(args[0])}, args[1:]...)...)
	_, stderr, cmd := start(ts, env, "server")
	stopAtEnd(ts, cmd)
	var said strings.Builder
	for {
		line, err := stderr.ReadString('\n')
		said.WriteString(line)
		if m := upPattern.FindStringSubmatch(line); m != nil {
			_, port, _ := strings.Cut(m[1], ":")
			ts.Setenv(args[0], "http://localhost:"+port)
			break
		}
		if err != nil {
			ts.Fatalf("ace server is not up: %v\n%s", err, said.String())
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
}

// cmdMode holds the permissions of files: mode 600 FILE….
func cmdMode(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := info.Mode().Perm().String(); got != permissions[args[0]] {
			ts.Fatalf("%s has mode %s, not %s", name, got, permissions[args[0]])
		}
	}
}

var permissions = map[string]string{"600": "-rw-------", "700": "-rwx------"}

// cmdField puts a field of a JSON file into a variable: field VARIABLE FILE PATH.TO.FIELD.
func cmdField(ts *testscript.TestScript, _ bool, args []string) {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &v))
	for name := range strings.SplitSeq(args[2], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			if name != "0" || len(x) == 0 {
				ts.Fatalf("%s: no element %s", args[2], name)
			}
			v = x[0]
		}
	}
	s, ok := v.(string)
	if !ok {
		ts.Fatalf("%s is %v, not a string", args[2], v)
	}
	ts.Setenv(args[0], s)
}

// cmdGet calls a URL with a header and shows the answer: get URL [HEADER VALUE].
func cmdGet(ts *testscript.TestScript, neg bool, args []string) {
	req, err := http.NewRequest(http.MethodGet, args[0], nil)
	ts.Check(err)
	if len(args) == 3 {
		req.Header.Set(args[1], args[2])
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	_ = resp.Body.Close()
	ts.Check(os.WriteFile(ts.MkAbs("answer"), body, 0o600))
	if (resp.StatusCode >= 400) != neg {
		ts.Fatalf("GET %s: %s\n%s", args[0], resp.Status, body)
	}
}

// cmdExits runs a command and holds its exit code: exits CODE COMMAND [ARG…]. stdout and stderr are the command's.
func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v exits with %d, not %d", args[1:], got, want)
	}
}

// cmdWrite writes a line into a file: write FILE TEXT.
func cmdWrite(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(args[1]+"\n"), 0o600))
}

var (
	totpSecret   = regexp.MustCompile(`id="totp-secret">([A-Z2-7]+)<`)
	recoveryCode = regexp.MustCompile(`[A-Z2-7]{4}(?:-[A-Z2-7]{4}){3}`)
)

// cmdTwoFactor turns two-factor authentication on for a person: twofactor EMAIL PASSWORD. A recovery code is in $RECOVERY: the
// app's code of this half minute is spent.
func cmdTwoFactor(ts *testscript.TestScript, _ bool, args []string) {
	post := dashboardForms(ts, ts.Getenv("CLOUD"), args[0], args[1], "/")
	page := post("/settings/security", url.Values{"action": {"totp-begin"}, "password": {args[1]}})
	secret := totpSecret.FindSubmatch(page)
	if secret == nil {
		ts.Fatalf("the page shows no secret: %s", page)
	}
	code, err := totp.GenerateCode(string(secret[1]), time.Now())
	ts.Check(err)
	page = post("/settings/security", url.Values{"action": {"totp-confirm"}, "otp": {code}})
	recovery := recoveryCode.Find(page)
	if recovery == nil {
		ts.Fatalf("the page shows no recovery code: %s", page)
	}
	ts.Setenv("RECOVERY", string(recovery))
}
