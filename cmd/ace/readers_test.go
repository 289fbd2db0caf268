package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/outsidetest"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func stdinOf(t *testing.T, raw string) *app {
	t.Helper()
	return newApp(outsidetest.FileOf(t, raw), os.Stdout, os.Stderr)
}

func revealed(s bridge.Secret, err error) (string, error) { return s.Reveal(), err }

var outsideReaders = []outsidetest.Reader{
	{Name: "ACE_KEY", Env: true, Read: func(t *testing.T, raw string) (string, error) {
		t.Setenv("ACE_KEY", raw)
		g, err := profile.FromEnv()
		return g.Bearer.Reveal(), err
	}},
	{Name: "ACE_PROFILE", Env: true, Read: func(t *testing.T, raw string) (string, error) {
		t.Setenv("ACE_PROFILE", raw)
		t.Setenv("HOME", t.TempDir())
		_, s, err := newTestApp().Profiles.Selected()
		return s.Name, err
	}},
	{Name: "ACE_ENV", Env: true, Read: func(t *testing.T, raw string) (string, error) {
		t.Setenv("ACE_ENV", raw)
		t.Setenv("HOME", t.TempDir())
		_, s, err := newTestApp().Profiles.Selected()
		return strings.TrimPrefix(string(s.Cloud), "https://"), err
	}},
	{Name: "ACE_AUTH_KEY", Env: true, Read: func(t *testing.T, raw string) (string, error) {
		const long = "a-key-of-more-than-16-bytes-"
		t.Setenv("HOME", t.TempDir())
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
		t.Setenv("ACE_AUTH_KEY", long+"value")
		st, err := profile.OpenStore()
		if err == nil {
			err = st.Locked(t.Context(), func() error { return st.WriteSessions(t.Context(), map[string]profile.Session{"x": {}}, "") })
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("ACE_AUTH_KEY", strings.Replace(raw, "value", long+"value", 1))
		_, _, err = st.Sessions(t.Context())
		if cause := errors.Unwrap(err); cause != nil {
			return "", cause
		} else if err != nil {
			return "another key", nil //nolint:nilerr // it says so
		}
		return "value", nil
	}},
	{Name: "an argument", Env: true, Read: func(_ *testing.T, raw string) (string, error) {
		args := []string{raw}
		err := cmdline.CleanArguments(&cobra.Command{Use: "x"}, args)
		return args[0], err
	}},
	{Name: "a flag", Env: true, Read: func(t *testing.T, raw string) (string, error) {
		cmd := &cobra.Command{Use: "x"}
		value := cmd.Flags().String("name", "", "")
		if err := cmd.Flags().Set("name", raw); err != nil {
			t.Fatal(err)
		}
		err := cmdline.CleanArguments(cmd, nil)
		return *value, err
	}},
	{Name: "a secret flag", Env: true, Read: func(_ *testing.T, raw string) (string, error) {
		return revealed(new(term.Terminal).SecretFlag("--token", raw))
	}},
	{Name: "a secret from stdin", Read: func(t *testing.T, raw string) (string, error) {
		return revealed(stdinOf(t, raw).Term.SecretFlag("--token", "-"))
	}},
	{Name: "a secret from a file", Read: func(t *testing.T, raw string) (string, error) {
		return revealed(new(term.Terminal).SecretFlag("--token", "file:"+outsidetest.FileOf(t, raw).Name()))
	}},
	{Name: "an answer", Read: func(t *testing.T, raw string) (string, error) { return stdinOf(t, raw+"\n").Term.AskLine("Name: ") }},
	{Name: "a password from stdin", Kept: true, Read: func(t *testing.T, raw string) (string, error) {
		return stdinOf(t, raw).Term.PasswordStdin("--password-stdin")
	}},
	{Name: "a new password from stdin", Kept: true, Read: func(t *testing.T, raw string) (string, error) { return revealed(stdinOf(t, raw).Term.NewPassword("-")) }},
	{Name: "a new password from a file", Kept: true, Read: func(t *testing.T, raw string) (string, error) {
		return revealed(new(term.Terminal).NewPassword("file:" + outsidetest.FileOf(t, raw).Name()))
	}},
	{Name: "a kept secret", Read: func(t *testing.T, raw string) (string, error) {
		f := outsidetest.FileOf(t, raw)
		return revealed(files.KeptSecret(filepath.Dir(f.Name()), "text", func() (bridge.Secret, error) { return bridge.Secret{}, fs.ErrInvalid }))
	}},
	{Name: "the list of profiles", Read: func(t *testing.T, raw string) (string, error) {
		const file = `{"active":"value"}`
		if strings.HasPrefix(raw, "\xff\xfe") {
			raw = outsidetest.UTF16(file)
		} else {
			raw = strings.Replace(raw, "value", file, 1)
		}
		home := t.TempDir()
		t.Setenv("HOME", home)
		if err := os.Mkdir(filepath.Join(home, ".ace"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, ".ace", "config.json"), []byte(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := newTestApp().Profiles.Config()
		return c.Active, err
	}},
}

// TestOutsideReaders: whatever reads text from outside trims white space and line ends, drops a byte-order mark, and names another
// encoding.
func TestOutsideReaders(t *testing.T) { outsidetest.Check(t, outsideReaders) }

// readings are the places that read a file, a variable or a stream, by file, with how often each does.
var readings = map[string]map[string]int{
	"bridge/apiclient/client.go": {"io.ReadAll": 1}, "bridge/apiclient/signin.go": {"io.ReadAll": 1}, "bridge/api/web.go": {"io.ReadAll": 1}, // answers and bodies: JSON
	"bridge/mark/mark.go": {"os.Open": 1}, "bridge/sqldb/state.go": {"os.Open": 2, "io.ReadAll": 1}, // what this program has written
	"bridge/doctor/cloud.go": {"io.ReadAll": 1}, "cmd/ace/internal/report/report.go": {"os.Environ": 1}, // an answer: JSON; what is packed without secrets
	"cloud/servers/catalogue.go": {"io.ReadAll": 1}, "cloud/servers/probe.go": {"io.ReadAll": 1}, "bridge/tunnel/ask.go": {"io.ReadAll": 1}, // answers: JSON
	"cmd/ace/internal/run/env.go": {"os.LookupEnv": 2, "os.Environ": 1}, "cmd/ace/internal/profile/environment.go": {"os.Getenv": 1}, "cmd/ace/internal/files/read.go": {"os.Open": 1, "io.ReadAll": 1}, // the readers
	"cmd/ace/internal/term/input.go": {"io.ReadAll": 1}, "cmd/ace/internal/profile/store.go": {"os.ReadFile": 2}, "cmd/ace/internal/profile/storekey.go": {"os.LookupEnv": 1, "os.Getenv": 1},
	"cmd/ace/internal/run/install.go": {"os.LookupEnv": 2}, "cmd/ace/internal/auth/profiles.go": {"os.Getenv": 1}, "cmd/ace/internal/term/progress.go": {"os.Getenv": 3}, // whether they are set
	"cmd/ace/internal/run/doctor.go":      {"os.Environ": 1},                 // names
	"cmd/ace/internal/term/redact.go":     {"os.Getenv": 1, "os.Environ": 1}, // what must not be shown
	"cmd/ace/internal/files/hide_unix.go": {"os.Environ": 1, "os.Getenv": 3}, // whether a join token is to be hidden
	"cmd/ace/internal/files/secret.go":    {"os.Open": 1},                    // a folder
}

// TestReadingsAreKnown: a new place that reads text from outside uses one of the readers, or is noted here with why it does not.
func TestReadingsAreKnown(t *testing.T) {
	reads := regexp.MustCompile(`\b(os\.Getenv|os\.LookupEnv|os\.Environ|os\.ReadFile|os\.Open|io\.ReadAll)\(`)
	found := map[string]map[string]int{}
	root := filepath.Join("..", "..")
	for _, dir := range []string{"bridge", "cloud", "cmd", "server"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "sqldbtest") || strings.Contains(path, "outsidetest") || strings.Contains(path, "benchtest") || strings.Contains(path, "roomtest") {
				return err
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			for _, m := range reads.FindAllStringSubmatch(string(raw), -1) {
				if found[name] == nil {
					found[name] = map[string]int{}
				}
				found[name][m[1]]++
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, counts := range found {
		if !maps.Equal(counts, readings[name]) {
			t.Errorf("%s reads %v, and %v is known: use a reader of internal/files, internal/term or internal/profile", name, counts, readings[name])
		}
	}
	if len(found) < len(readings) {
		t.Errorf("%d files read, %d are known", len(found), len(readings))
	}
}
