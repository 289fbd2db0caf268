package main

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// However somebody logs in, what is secret is in nothing that another program or person may see.
func TestNoSecretLeaves(t *testing.T) {
	cloud := newFakeCloud(t)
	ace := newTerminal(t, "ACE_ENV="+cloud.URL)
	token := cloud.canaryToken(map[string]any{"iss": cloud.URL})
	cloud.secrets = append(cloud.secrets, token)
	key, pat := cloud.key.Text().Reveal(), cloud.pat.Text().Reveal()
	ways := []struct {
		stdin string
		args  []string
	}{
		{"", []string{"login", "--no-browser", "--no-connect", "--force"}},
		{canaryPassword, []string{"login", "--email", "ada@acme.test", "--password-stdin", "--no-connect", "--force"}},
		{pat, []string{"login", "pat", "--token", "-", "--force"}},
		{key, []string{"login", "api-key", "--name", "ci", "--secret", "-", "--force"}},
		{cloud.key.ID.String() + "." + key, []string{"auth", "login-api-key", "--key", "-", "--service-name", "ci"}},
		{token, []string{"auth", "login-token"}},
	}
	look := func() {
		ace.must("", "auth", "status", "--debug", "-o", "json")
		ace.must("", "auth", "status")
		ace.must("", "auth", "me", "--debug")
		ace.must("", "auth", "list")
		ace.run("", "connections", "list", "--debug") // refused
		cloud.grep(t, ace)
	}
	if r, page := ace.browse("--debug"); r.code != 0 {
		t.Fatal(r.stderr, page)
	}
	look()
	for _, way := range ways {
		ace.must(way.stdin, append(slices.Clone(way.args), "--debug")...)
		look()
	}
	cloud.set(func() { cloud.refuse = bridge.Forbidden })
	for _, way := range ways[3:] {
		ace.run(way.stdin, append(slices.Clone(way.args), "--debug")...)
	}
	cloud.grep(t, ace)
}

// grep looks for the secrets in all that a terminal has printed, and in its files.
func (f *fakeCloud) grep(t *testing.T, ace *terminal) {
	t.Helper()
	var secrets []string
	f.set(func() { secrets = slices.Clone(f.secrets) })
	check := func(where, text string) {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s has the secret %q", where, secret)
			}
		}
	}
	check("what was printed", ace.said.String())
	files := 0
	err := filepath.WalkDir(ace.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path) //nolint:gosec // a file of the test
		check(path, string(raw))
		files++
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("%d files looked at: %v", files, err)
	}
}

// What is opened in a browser is an argument of a program, which everybody on the machine can read.
func TestNoSecretInArguments(t *testing.T) {
	cloud := newFakeCloud(t)
	bin, opened := filepath.Join(t.TempDir(), "bin"), filepath.Join(t.TempDir(), "opened")
	// The browser keeps its own arguments and those of all programs, and opens the page.
	browser := "#!/bin/sh\ncat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' > " + opened + ".tmp; mv " + opened + ".tmp " + opened + "." + "$$\n"
	if err := errors.Join(os.Mkdir(bin, 0o700), os.WriteFile(filepath.Join(bin, "xdg-open"), []byte(browser), 0o700)); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	onTerminal(t, 80, []string{"ACE_ENV=" + cloud.URL, "PATH=" + bin + ":" + os.Getenv("PATH")}, "login", "--no-connect").exits(0)
	files, _ := filepath.Glob(opened + ".*")
	if len(files) != 1 {
		t.Fatalf("the browser was opened %d times", len(files))
	}
	raw, err := os.ReadFile(files[0])
	if err != nil || !strings.Contains(string(raw), cloud.URL+"/device") {
		t.Fatalf("%v: the browser was opened with\n%s", err, raw)
	}
	for _, secret := range []string{canaryDevice, canaryAccess, canaryRefresh} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("a program's arguments have the secret %q", secret)
		}
	}
}

// Fifty commands at once find an access token that is over: one of them renews it, and none fails.
func TestRefreshOnceOfFifty(t *testing.T) {
	cloud := newFakeCloud(t)
	cloud.set(func() { cloud.life = 1 }) // so short that it is renewed at once
	ace := newTerminal(t, "ACE_ENV="+cloud.URL)
	ace.must("", "login", "--no-browser", "--no-connect")
	var all sync.WaitGroup
	var failed atomic.Int32
	for range 50 {
		all.Go(func() {
			if out, err := ace.command("", "auth", "token").CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != canaryAccess {
				failed.Add(1)
				t.Logf("%v: %s", err, out)
			}
		})
	}
	all.Wait()
	cloud.set(func() {
		if n := failed.Load(); n > 0 || cloud.refreshes != 1 {
			t.Errorf("%d of 50 failed, and there were %d refreshes, want 1", n, cloud.refreshes)
		}
	})
}

// A session bus that takes connections and says nothing: every command ends, and the key is kept in a file.
func TestSilentKeyring(t *testing.T) {
	cloud := newFakeCloud(t)
	socket := filepath.Join(t.TempDir(), "bus")
	ln, err := net.Listen("unix", socket) //nolint:noctx // a test's
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	var calls atomic.Int32
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			go func() { _, _ = io.Copy(io.Discard, conn) }()
		}
	}()
	ace := newTerminal(t, "ACE_ENV="+cloud.URL, "DBUS_SESSION_BUS_ADDRESS=unix:path="+socket)
	r := ace.must("", "login", "pat", "--token", cloud.pat.Text().Reveal())
	if !strings.Contains(r.stderr, "The system's keyring does not answer") || calls.Load() != 1 {
		t.Errorf("the keyring was called %d times, and the login says %s", calls.Load(), r.stderr)
	}
	if r := ace.must("", "auth", "status"); !strings.Contains(r.stdout, "machine.key") || calls.Load() != 1 {
		t.Errorf("the keyring was called %d times, and the status is %s", calls.Load(), r.stdout)
	}
}

// The time of the keyring is for all its calls together.
func TestKeyringBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := &ring{limit: keyringTimeout}
		start := time.Now()
		slow := func(d time.Duration) func() (string, error) {
			return func() (string, error) {
				select {
				case <-time.After(d):
				case <-release:
				}
				return "", nil
			}
		}
		if _, err := r.ask(t.Context(), slow(2*time.Second)); err != nil {
			t.Errorf("a keyring that answers after 2 s: %v", err)
		}
		for range 3 {
			if _, err := r.ask(t.Context(), slow(time.Hour)); !errors.Is(err, errKeyringSilent) {
				t.Errorf("a silent keyring: %v", err)
			}
		}
		if took := time.Since(start); took != keyringTimeout {
			t.Errorf("the keyring took %s in all, want %s", took, keyringTimeout)
		}
		close(release)
	})
}

// Whatever the shell's umask, nobody else can read what is kept.
func TestModes(t *testing.T) {
	cloud := newFakeCloud(t)
	ace := newTerminal(t, "ACE_ENV="+cloud.URL)
	cmd := ace.command("", "login", "--no-browser")
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", "umask 000; exec ace login pat --token " + cloud.pat.Text().Reveal()}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, want := range map[string]fs.FileMode{"": 0o700, "config.json": 0o600, "auth.json": 0o600, "lock": 0o600, "machine.key": 0o600} {
		info, err := os.Stat(filepath.Join(ace.home, ".ace", name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("~/.ace/%s: %v, want mode %o: %v", name, info, want, err)
		}
	}
}

// What counts: a variable before the profile, and which of several.
func TestCredentialOrder(t *testing.T) {
	key := bridge.NewKey(bridge.KindLive, uuid.New())
	id, secret := key.ID.String(), key.Text().Reveal()
	tests := []struct {
		name            string
		env             map[string]string
		source, bearer  string
		ignored         []string
		code, complaint string
	}{
		{name: "none"},
		{name: "ACE_KEY", env: map[string]string{"ACE_KEY": "k"}, source: "ACE_KEY", bearer: "k"},
		{name: "ACE_TOKEN", env: map[string]string{"ACE_TOKEN": "t"}, source: "ACE_TOKEN", bearer: "t"},
		{name: "trio", env: map[string]string{trio[0]: id, trio[1]: secret, trio[2]: "ci"}, source: trio[0], bearer: id + "." + secret},
		{name: "trio of a key with its ID", env: map[string]string{trio[0]: id, trio[1]: id + "." + secret, trio[2]: "ci"}, source: trio[0], bearer: id + "." + secret},
		{name: "all", env: map[string]string{"ACE_KEY": "k", trio[0]: id, trio[1]: secret, trio[2]: "ci", "ACE_TOKEN": "t"},
			source: "ACE_KEY", bearer: "k", ignored: []string{trio[0] + ": ACE_KEY counts before it", "ACE_TOKEN: ACE_KEY counts before it"}},
		{name: "trio and token", env: map[string]string{trio[0]: id, trio[1]: secret, trio[2]: "ci", "ACE_TOKEN": "t"},
			source: trio[0], bearer: id + "." + secret, ignored: []string{"ACE_TOKEN: " + trio[0] + " counts before it"}},
		{name: "no secret", env: map[string]string{trio[0]: id, trio[2]: "ci"}, code: term.CodeUsage, complaint: trio[0] + " and " + trio[2] + " is set without " + trio[1]},
		{name: "no name", env: map[string]string{trio[0]: id, trio[1]: secret}, code: term.CodeUsage, complaint: "without " + trio[2]},
		{name: "no ID, beside a token", env: map[string]string{trio[1]: secret, trio[2]: "ci", "ACE_TOKEN": "t"}, code: term.CodeUsage, complaint: "without " + trio[0]},
		{name: "mistyped", env: map[string]string{trio[0]: id, trio[1]: secret[:60], trio[2]: "ci"}, code: "key_malformed", complaint: trio[1]},
		{name: "another ID", env: map[string]string{trio[0]: uuid.New().String(), trio[1]: secret, trio[2]: "ci"}, code: "key_id_mismatch", complaint: trio[1]},
		{name: "no ID in it", env: map[string]string{trio[0]: "mine", trio[1]: secret, trio[2]: "ci"}, code: "credential_malformed", complaint: trio[0]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range append([]string{"ACE_KEY", "ACE_TOKEN"}, trio[:]...) {
				t.Setenv(name, tt.env[name])
			}
			g, err := fromEnv()
			if bridge.CodeOf(err) != tt.code || (err != nil && !strings.Contains(err.Error(), tt.complaint)) {
				t.Fatalf("the error is %v, want %q with %q", err, tt.code, tt.complaint)
			}
			if g.source != tt.source || g.bearer.Reveal() != tt.bearer || !slices.Equal(g.ignored, tt.ignored) {
				t.Errorf("%s counts, ignored are %q", g.source, g.ignored)
			}
		})
	}
}

// Which profile counts, by what was said: all combinations of the five places.
func TestProfileOrder(t *testing.T) {
	c := config{Active: "active", Profiles: map[string]*profile{}}
	for _, name := range []string{"active", "flag", "variable"} {
		c.Profiles[name] = &profile{CloudURL: bridge.ServerURL("https://" + name + ".example")}
	}
	c.Profiles["env"] = &profile{CloudURL: "https://env.example"}
	c.Profiles["ace-env"] = &profile{CloudURL: "https://ace-env.example"}
	for bits := range 16 {
		said := []struct{ place, value, profile string }{
			{"--profile", "flag", "flag"}, {"--env", "env.example", "env"},
			{"ACE_PROFILE", "variable", "variable"}, {"ACE_ENV", "https://ace-env.example", "ace-env"},
		}
		a := newTestApp()
		want, ignored := "active", 0
		for i := range said {
			switch {
			case bits&(1<<i) == 0:
				said[i].value = ""
			case want == "active":
				want = said[i].profile
			default:
				ignored++
			}
		}
		a.Term.Profile, a.Term.Env = said[0].value, said[1].value
		t.Setenv("ACE_PROFILE", said[2].value)
		t.Setenv("ACE_ENV", said[3].value)
		sel, err := a.selectProfile(c)
		if err != nil || sel.name != want || len(sel.ignored) != ignored || sel.cloud != c.Profiles[want].CloudURL {
			t.Errorf("%v: the profile is %q of %s, ignored are %q, want %q and %d: %v", said, sel.name, sel.cloud, sel.ignored, want, ignored, err)
		}
	}
}
