//go:build unix

package unit

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acebridge/ace/bridge"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

const canary = "canary-of-a-secret-\"$`\\%d"

// someUnit is a unit with variables of each kind, below a folder.
func someUnit(dir string, system bool) *Unit {
	return &Unit{System: system, Path: filepath.Join(dir, "units", Name), Binary: "/bin/true", DataDir: filepath.Join(dir, "ace-server"), Drain: 5 * time.Second,
		Variables: []Variable{
			{Name: "ACE_UPSTREAM_URL", Value: bridge.NewSecret("http://127.0.0.1:8080/?a=\"$b`\\%d")},
			{Name: "ACE_JWT_SECRET", Kind: Secret, Value: bridge.NewSecret(canary)},
			{Name: "ACE_TLS_KEY", Kind: File, Value: bridge.NewSecret("/etc/ace/tls.key")},
			{Name: "ACE_CLOUD_PUBLIC_KEY_FILE", Kind: File, Value: bridge.NewSecret("/etc/ace/cloud.pub")},
		}}
}

// systemUnit is one as root installs it.
func systemUnit() *Unit {
	u := someUnit("/var/lib", true)
	u.Path = "/etc/systemd/system/" + Name
	return u
}

// TestText compares the units with their files; go test ./cmd/ace/internal/unit -run TestText -update writes them.
func TestText(t *testing.T) {
	asUser := systemUnit()
	asUser.RunAs, asUser.DataDir, asUser.LowPort = "ace", "/home/ace/data", true
	for name, u := range map[string]*Unit{"system": systemUnit(), "system-run-as": asUser, "user": someUnit("/home/ada", false)} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name+".service")
			if *update {
				if err := os.WriteFile(path, []byte(u.Text()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), u.Text()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// systemd itself finds nothing wrong with the units.
func TestSystemdAcceptsTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	asUser := systemUnit()
	asUser.RunAs, asUser.DataDir, asUser.LowPort = "daemon", "/var/lib/somewhere/else", true
	for name, u := range map[string]*Unit{"system": systemUnit(), "system, as a user": asUser, "user": someUnit("/home/ada", false)} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), Name)
			if err := os.WriteFile(path, []byte(u.Text()), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"verify", "--man=no", path}
			if !u.System {
				args = append([]string{"--user"}, args...)
			}
			cmd := exec.CommandContext(t.Context(), analyze, args...) //nolint:gosec // of this test
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// No value of a variable is in the unit, a secret only in its own file, and only the owner can read the files.
func TestSecretsHaveTheirOwnFiles(t *testing.T) {
	for _, system := range []bool{true, false} {
		u := someUnit(t.TempDir(), system)
		if changed, err := u.Write(); err != nil || !changed {
			t.Fatal(changed, err)
		}
		holders := 0
		for _, f := range u.Files() {
			info, err := os.Stat(f.Path)
			if err != nil {
				t.Fatal(err)
			}
			if want := os.FileMode(0o600); f.Path != u.Path && info.Mode().Perm() != want {
				t.Errorf("%s has mode %s", f.Path, info.Mode())
			}
			text, err := os.ReadFile(f.Path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "canary") {
				holders++
				if filepath.Dir(f.Path) != u.credentialsDir() {
					t.Errorf("%s has the secret", f.Path)
				}
			}
		}
		if holders != 1 || strings.Contains(u.Text(), "8080") {
			t.Errorf("%d files have the secret; the unit is\n%s", holders, u.Text())
		}
		if info, err := os.Stat(u.credentialsDir()); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v %v", info, err)
		}
	}
}

// The same unit again changes nothing; one without a secret removes its file; removing leaves the data.
func TestWriteAndRemove(t *testing.T) {
	u := someUnit(t.TempDir(), false)
	for i, want := range []bool{true, false} {
		if changed, err := u.Write(); err != nil || changed != want {
			t.Errorf("write %d: changed %v, %v", i+1, changed, err)
		}
	}
	if err := os.Chmod(u.settingsFile(), 0o644); err != nil { //nolint:gosec // what is put right
		t.Fatal(err)
	}
	if changed, err := u.Write(); err != nil || !changed {
		t.Errorf("a file that all may read is left: %v", err)
	}
	secret := u.credential(u.Variables[1])
	u.Variables = u.Variables[:1]
	if changed, err := u.Write(); err != nil || !changed {
		t.Error(changed, err)
	}
	if _, err := os.Stat(secret); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the secret is left: %v", err)
	}
	now, err := Find(u.Path)
	if err != nil || now.DataDir != u.DataDir || strings.Join(now.Variables, " ") != "ACE_UPSTREAM_URL" {
		t.Fatalf("%+v %v", now, err)
	}
	removed, err := now.Remove(u.Path)
	if err != nil || len(removed) != 3 {
		t.Error(removed, err)
	}
	if info, err := os.Stat(u.DataDir); err != nil || !info.IsDir() {
		t.Errorf("the data directory is gone: %v", err)
	}
	if now, err := Find(u.Path); now != nil || err != nil {
		t.Error(now, err)
	}
}

// A unit of somebody else is an error, whatever it is like.
func TestForeignUnits(t *testing.T) {
	path := filepath.Join(t.TempDir(), Name)
	for _, text := range []string{"", "[Unit]\n", Marker, Marker + "\n# Data: relative\n# Variables: \n[Unit]\n", Marker + "\n\n\n\n", "#" + systemUnit().Text()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if now, err := Find(path); now != nil || err == nil || bridge.AsError(err).Code != bridge.CodeUnitForeign {
			t.Errorf("%q: %+v %v", text, now, err)
		}
	}
}

// A path that a unit would read differently is refused.
func TestPaths(t *testing.T) {
	for _, path := range []string{"relative", "/with space", "/with%h", "/with$HOME", "/with\"quote", "/with\nline", "/with:colon", `/with\x20`} {
		u := systemUnit()
		u.DataDir = path
		if err := u.Check(bridge.Secret{}); err == nil || bridge.AsError(err).Code != bridge.CodeUnitPath {
			t.Errorf("%q: %v", path, err)
		}
	}
	if err := systemUnit().Check(bridge.Secret{}); err != nil {
		t.Error(err)
	}
	elsewhere := systemUnit()
	elsewhere.DataDir = "/srv/ace"
	if err := elsewhere.Check(bridge.Secret{}); err == nil || !strings.Contains(bridge.AsError(err).Hint, "--run-as") {
		t.Error(err)
	}
	if elsewhere.RunAs = "ace"; elsewhere.Check(bridge.Secret{}) != nil {
		t.Error("a user may have the data anywhere")
	}
	for database, fine := range map[string]bool{"sqlite:/var/lib/ace-server/x.db": true, "sqlite:x.db": false, "sqlite:/srv/x.db": false, "postgres://h/d": true} {
		if err := systemUnit().Check(bridge.NewSecret(database)); (err == nil) != fine {
			t.Errorf("%s: %v", database, err)
		}
	}
	for path, want := range map[string]bool{"/root/ace": true, "/home/ada/bin/ace": true, "/tmp/ace": true, "/usr/local/bin/ace": false, "/homestead/ace": false} {
		if got := Hidden(path); got != want {
			t.Errorf("Hidden(%q) = %v", path, got)
		}
	}
}

// FuzzFind reads units of any kind.
func FuzzFind(f *testing.F) {
	f.Add(systemUnit().Text())
	f.Add(Marker + "\n# Data: /\n# Variables: A B\n")
	path := filepath.Join(f.TempDir(), Name)
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		now, err := Find(path)
		if (now == nil) == (err == nil) || now != nil && !filepath.IsAbs(now.DataDir) {
			t.Errorf("%q: %+v %v", text, now, err)
		}
	})
}

// systemctl is called for one scope; its failure is told, and one that does not answer is not waited for.
func TestSystemctl(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"$@\" >>" + dir + "/calls\ncase \"$*\" in *fails*) echo broken >&2; exit 3;; esac\n"
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	s := Systemctl{Runtime: dir}
	if s.Runs() {
		t.Error("systemd is said to run where it does not")
	}
	if err := os.Mkdir(filepath.Join(dir, "systemd"), 0o700); err != nil {
		t.Fatal(err)
	}
	if !s.Runs() {
		t.Error("systemd is not seen")
	}
	if err := s.Call(t.Context(), 0, "enable", Name); err != nil {
		t.Error(err)
	}
	if calls, _ := os.ReadFile(filepath.Join(dir, "calls")); string(calls) != "--user enable "+Name+"\n" { //nolint:gosec // of this test
		t.Errorf("%q", calls)
	}
	err := Systemctl{System: true}.Call(t.Context(), 0, "fails")
	if err == nil || !strings.Contains(err.Error(), "systemctl fails failed: broken") || !strings.Contains(bridge.AsError(err).Hint, "journalctl -u") {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Call(ended, 0, "enable"); err == nil {
		t.Error("a call after the end succeeds")
	}
}

// A system unit that runs as a user gives that user the data directory that it makes, and a join token that it leaves there.
func TestDataDirBelongsToTheUser(t *testing.T) {
	who, err := user.Lookup("daemon")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("only root can give files away, and to a user that there is")
	}
	u := someUnit(t.TempDir(), true)
	u.RunAs = who.Username
	if _, err := u.Write(); err != nil {
		t.Fatal(err)
	}
	if err := u.LeaveJoinToken(bridge.NewSecret("a-token")); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{u.DataDir: 0o700, filepath.Join(u.DataDir, JoinTokenFile): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if owner := fmt.Sprint(info.Sys().(*syscall.Stat_t).Uid); owner != who.Uid || info.Mode().Perm() != mode {
			t.Errorf("%s belongs to %s, with mode %s", path, owner, info.Mode())
		}
	}
	now, err := Find(u.Path)
	if err != nil {
		t.Fatal(err)
	}
	if removed, err := now.Remove(u.Path); err != nil || len(removed) != 4 {
		t.Error(removed, err)
	}
}
