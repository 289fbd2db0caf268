package terminal

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

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/e2e/world"
)

// However somebody logs in, what is secret is in nothing that another program or person may see.
func TestNoSecretLeaves(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	ace := world.NewTerminal(t, "ACE_ENV="+cloud.URL)
	token := cloud.CanaryToken(map[string]any{"iss": cloud.URL})
	cloud.Secrets = append(cloud.Secrets, token)
	key, pat := cloud.Key.Text().Reveal(), cloud.PAT.Text().Reveal()
	ways := []struct {
		stdin string
		args  []string
	}{
		{"", []string{"login", "--no-browser", "--no-connect", "--force"}},
		{world.CanaryPassword, []string{"login", "--email", "ada@acme.test", "--password-stdin", "--no-connect", "--force"}},
		{pat, []string{"login", "pat", "--token", "-", "--force"}},
		{key, []string{"login", "api-key", "--name", "ci", "--secret", "-", "--force"}},
		{cloud.Key.ID.String() + "." + key, []string{"auth", "login-api-key", "--key", "-", "--service-name", "ci"}},
		{token, []string{"auth", "login-token"}},
	}
	look := func() {
		ace.Must("", "auth", "status", "--debug", "-o", "json")
		ace.Must("", "auth", "status")
		ace.Must("", "auth", "me", "--debug")
		ace.Must("", "auth", "list")
		ace.Run("", "connections", "list", "--debug") // refused
		cloud.Grep(t, ace)
	}
	if r, page := ace.Browse("--debug"); r.Code != 0 {
		t.Fatal(r.Stderr, page)
	}
	look()
	for _, way := range ways {
		ace.Must(way.stdin, append(slices.Clone(way.args), "--debug")...)
		look()
	}
	cloud.Set(func() { cloud.Refuse = bridge.Forbidden })
	for _, way := range ways[3:] {
		ace.Run(way.stdin, append(slices.Clone(way.args), "--debug")...)
	}
	cloud.Grep(t, ace)
}

// What is opened in a browser is an argument of a program, which everybody on the machine can read.
func TestNoSecretInArguments(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	bin, opened := filepath.Join(t.TempDir(), "bin"), filepath.Join(t.TempDir(), "opened")
	// The browser keeps its own arguments and those of all programs, and opens the page.
	browser := "#!/bin/sh\ncat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' > " + opened + ".tmp; mv " + opened + ".tmp " + opened + "." + "$$\n"
	if err := errors.Join(os.Mkdir(bin, 0o700), os.WriteFile(filepath.Join(bin, "xdg-open"), []byte(browser), 0o700)); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	world.OnTerminal(t, 80, []string{"ACE_ENV=" + cloud.URL, "PATH=" + bin + ":" + os.Getenv("PATH")}, "login", "--no-connect").Exits(0)
	files, _ := filepath.Glob(opened + ".*")
	if len(files) != 1 {
		t.Fatalf("the browser was opened %d times", len(files))
	}
	raw, err := os.ReadFile(files[0])
	if err != nil || !strings.Contains(string(raw), cloud.URL+"/device") {
		t.Fatalf("%v: the browser was opened with\n%s", err, raw)
	}
	for _, secret := range []string{world.CanaryDevice, world.CanaryAccess, world.CanaryRefresh} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("a program's arguments have the secret %q", secret)
		}
	}
}

// Fifty commands at once find an access token that is over: one of them renews it, and none fails.
func TestRefreshOnceOfFifty(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	cloud.Set(func() { cloud.Life = 1 }) // so short that it is renewed at once
	ace := world.NewTerminal(t, "ACE_ENV="+cloud.URL)
	ace.Must("", "login", "--no-browser", "--no-connect")
	var all sync.WaitGroup
	var failed atomic.Int32
	for range 50 {
		all.Go(func() {
			if out, err := ace.Command("", "auth", "token").CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != world.CanaryAccess {
				failed.Add(1)
				t.Logf("%v: %s", err, out)
			}
		})
	}
	all.Wait()
	cloud.Set(func() {
		if n := failed.Load(); n > 0 || cloud.Refreshes != 1 {
			t.Errorf("%d of 50 failed, and there were %d refreshes, want 1", n, cloud.Refreshes)
		}
	})
}

// A session bus that takes connections and says nothing: every command ends, and the key is kept in a file.
func TestSilentKeyring(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
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
	ace := world.NewTerminal(t, "ACE_ENV="+cloud.URL, "DBUS_SESSION_BUS_ADDRESS=unix:path="+socket)
	r := ace.Must("", "login", "pat", "--token", cloud.PAT.Text().Reveal())
	if !strings.Contains(r.Stderr, "The system's keyring does not answer") || calls.Load() != 1 {
		t.Errorf("the keyring was called %d times, and the login says %s", calls.Load(), r.Stderr)
	}
	if r := ace.Must("", "auth", "status"); !strings.Contains(r.Stdout, "machine.key") || calls.Load() != 1 {
		t.Errorf("the keyring was called %d times, and the status is %s", calls.Load(), r.Stdout)
	}
}

// Whatever the shell's umask, nobody else can read what is kept.
func TestModes(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	ace := world.NewTerminal(t, "ACE_ENV="+cloud.URL)
	cmd := ace.Command("", "login", "--no-browser")
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", "umask 000; exec ace login pat --token " + cloud.PAT.Text().Reveal()}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, want := range map[string]fs.FileMode{"": 0o700, "config.json": 0o600, "auth.json": 0o600, "lock": 0o600, "machine.key": 0o600} {
		info, err := os.Stat(filepath.Join(ace.Home, ".ace", name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("~/.ace/%s: %v, want mode %o: %v", name, info, want, err)
		}
	}
}
