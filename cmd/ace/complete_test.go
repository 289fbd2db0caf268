package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/e2e/world"
)

// completed returns what `ace __complete` offers at the end of a command line.
func completed(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command("ace", append([]string{"__complete"}, args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	var out bytes.Buffer
	cmd.Stdout = &out
	kill := time.AfterFunc(world.Patience, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return out.String()
}

// stored makes a home directory with a session that ends at a given time.
func stored(t *testing.T, cloud string, end time.Time) (home string) {
	t.Helper()
	home = t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	for _, name := range []string{"ACE_ENV", "ACE_PROFILE", "ACE_KEY", "ACE_TOKEN", "ACE_API_KEY_ID"} {
		t.Setenv(name, "")
	}
	st, err := profile.OpenStore()
	if err != nil {
		t.Fatal(err)
	}
	s := profile.Session{Method: profile.MethodDevice, AccessToken: bridge.NewSecret("access").Disclose(), RefreshToken: bridge.NewSecret("refresh").Disclose(),
		ExpiresAt: end, RefreshExpiresAt: time.Now().Add(24 * time.Hour)}
	if _, err := newTestApp().Profiles.Keep(t.Context(), st, profile.Selection{Name: "default", Cloud: bridge.ServerURL(cloud)}, s, api.Me{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(home, ".ace", "lock")); err != nil {
		t.Fatal(err)
	}
	return home
}

// contents returns the files of a directory, one after the other.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		all.WriteString(path + "\n" + string(raw) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

const nothing = ":4\n"

// Completion does not renew an expired session: the cloud is not even asked, and no file changes.
func TestCompletionRenewsNothing(t *testing.T) {
	var asked atomic.Int32
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		world.Reply(w, api.List[api.Connection]{Items: []api.Connection{{ID: "1", Name: "laptop", ServerURL: "http://localhost:7777"}}})
	}))
	defer cloud.Close()
	home := stored(t, cloud.URL, time.Now().Add(-time.Minute))
	before := contents(t, home)
	for _, args := range [][]string{{"disconnect", ""}, {"api-key", "revoke", ""}, {"connect", "--server", ""}, {"api-key", "create", "--preset", ""}} {
		if got := completed(t, nil, args...); strings.Contains(got, "laptop") {
			t.Errorf("%v: %q", args, got)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the cloud was asked %d times", n)
	}
	if after := contents(t, home); after != before {
		t.Errorf("the files changed:\n%s\nwere\n%s", after, before)
	}
	// A session that is about to end is good enough, and is not renewed.
	home = stored(t, cloud.URL, time.Now().Add(20*time.Second))
	before = contents(t, home)
	if got := completed(t, nil, "disconnect", ""); got != "laptop\thttp://localhost:7777\n"+nothing {
		t.Errorf("with a session: %q", got)
	}
	if after := contents(t, home); asked.Load() != 1 || after != before {
		t.Errorf("%d requests, files:\n%s", asked.Load(), after)
	}
}

// With a cloud that hangs or is not there, a silent keyring or broken files, completion offers nothing and says nothing.
func TestCompletionIsSilent(t *testing.T) {
	answer := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-answer }))
	defer hanging.Close()
	defer close(answer)
	stored(t, hanging.URL, time.Now().Add(time.Hour))
	if got := completed(t, nil, "disconnect", ""); got != nothing {
		t.Errorf("a cloud that hangs: %q", got)
	}
	stored(t, "http://127.0.0.1:1", time.Now().Add(time.Hour))
	if got := completed(t, nil, "disconnect", ""); got != nothing {
		t.Errorf("no cloud: %q", got)
	}
	if got := completed(t, []string{"ACE_API_KEY_ID=x"}, "disconnect", ""); got != nothing {
		t.Errorf("half a credential: %q", got)
	}

	// A D-Bus that takes the connection and never says anything.
	bus, err := net.Listen("unix", filepath.Join(t.TempDir(), "bus"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bus.Close() }()
	home := stored(t, hanging.URL, time.Now().Add(time.Hour))
	if err := os.WriteFile(filepath.Join(home, ".ace", "auth.json"), []byte(`{"v":1,"key":"keyring","nonce":"","data":""}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := completed(t, []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=" + bus.Addr().String()}, "disconnect", ""); got != nothing {
		t.Errorf("a silent keyring: %q", got)
	}
	if err := os.WriteFile(filepath.Join(home, ".ace", "config.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"disconnect", ""}, {"--profile", ""}} {
		if got := completed(t, nil, args...); got != nothing {
			t.Errorf("%v without a config.json that can be read: %q", args, got)
		}
	}
}

// The completion scripts work in the shells that are installed.
func TestCompletionScripts(t *testing.T) {
	stored(t, "http://127.0.0.1:1", time.Now().Add(time.Hour))
	for shell, script := range map[string]string{
		// bash-completion, which the script of bash stands on, is not everywhere; this is the one function that it takes of it.
		"bash": `
_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${words[cword]}; prev=${words[cword-1]}; }
compopt() { :; }
source <(ace completion bash)
COMP_WORDS=(ace connections ""); COMP_CWORD=2; COMP_LINE="ace connections "; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
__start_ace
printf '%s\n' "${COMPREPLY[@]}"
COMP_WORDS=(ace version -o j); COMP_CWORD=3; COMP_LINE="ace version -o j"; COMP_POINT=${#COMP_LINE}
__start_ace
printf '%s\n' "${COMPREPLY[@]}"`,
		"fish": `ace completion fish | source; complete -C "ace connections "; complete -C "ace version -o j"`,
		"zsh": `autoload -Uz compinit && compinit -u -d $HOME/dump; source <(ace completion zsh)
compadd() { :; }; _describe() { eval "print -l -- \${(P)4}" ; eval "print -l -- \${$2}"; }; 
words=(ace connections ""); CURRENT=3; _ace; words=(ace version -o j); CURRENT=4; _ace`,
	} {
		t.Run(shell, func(t *testing.T) {
			cmd := exec.Command(world.Installed(t, shell), "-c", script)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TERM=dumb"}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, word := range []string{"share", "check", "json"} {
				if !strings.Contains(string(out), word) {
					t.Errorf("%q is not offered:\n%s", word, out)
				}
			}
			if strings.Contains(string(out), "yaml") {
				t.Errorf("what does not begin as typed is offered:\n%s", out)
			}
		})
	}
}
