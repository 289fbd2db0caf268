package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// utf16LE is a text as some editors and shells of Windows save it.
func utf16LE(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

// outsideReader reads a text that comes from outside in its way.
type outsideReader struct {
	name string
	read func(t *testing.T, raw string) (string, error)
	env  bool // it is a variable, which holds no NUL
	kept bool // it keeps white space, but line ends at the end
}

func stdinOf(t *testing.T, raw string) *app {
	t.Helper()
	return newApp(fileOf(t, raw), os.Stdout, os.Stderr)
}

func fileOf(t *testing.T, raw string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func revealed(s bridge.Secret, err error) (string, error) { return s.Reveal(), err }

var outsideReaders = []outsideReader{
	{name: "a variable of a server", env: true, read: func(t *testing.T, raw string) (string, error) {
		t.Setenv("ACE_JWT_SECRET", raw)
		var e serverEnv
		err := readEnv(&e)
		return e.JWTSecret.Reveal(), err
	}},
	{name: "a file of a variable", read: func(t *testing.T, raw string) (string, error) {
		t.Setenv("ACE_JWT_SECRET_FILE", fileOf(t, raw).Name())
		var e serverEnv
		err := readEnv(&e)
		return e.JWTSecret.Reveal(), err
	}},
	{name: "ACE_KEY", env: true, read: func(t *testing.T, raw string) (string, error) {
		t.Setenv("ACE_KEY", raw)
		g, err := profile.FromEnv()
		return g.Bearer.Reveal(), err
	}},
	{name: "ACE_PROFILE", env: true, read: func(t *testing.T, raw string) (string, error) {
		t.Setenv("ACE_PROFILE", raw)
		t.Setenv("HOME", t.TempDir())
		_, s, err := newTestApp().Profiles.Selected()
		return s.Name, err
	}},
	{name: "ACE_ENV", env: true, read: func(t *testing.T, raw string) (string, error) {
		t.Setenv("ACE_ENV", raw)
		t.Setenv("HOME", t.TempDir())
		_, s, err := newTestApp().Profiles.Selected()
		return strings.TrimPrefix(string(s.Cloud), "https://"), err
	}},
	{name: "ACE_AUTH_KEY", env: true, read: func(t *testing.T, raw string) (string, error) {
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
	{name: "an argument", env: true, read: func(_ *testing.T, raw string) (string, error) {
		args := []string{raw}
		err := cleanArguments(&cobra.Command{Use: "x"}, args)
		return args[0], err
	}},
	{name: "a flag", env: true, read: func(t *testing.T, raw string) (string, error) {
		cmd := &cobra.Command{Use: "x"}
		value := cmd.Flags().String("name", "", "")
		if err := cmd.Flags().Set("name", raw); err != nil {
			t.Fatal(err)
		}
		err := cleanArguments(cmd, nil)
		return *value, err
	}},
	{name: "a secret flag", env: true, read: func(_ *testing.T, raw string) (string, error) {
		return revealed(new(term.Terminal).SecretFlag("--token", raw))
	}},
	{name: "a secret from stdin", read: func(t *testing.T, raw string) (string, error) {
		return revealed(stdinOf(t, raw).Term.SecretFlag("--token", "-"))
	}},
	{name: "a secret from a file", read: func(t *testing.T, raw string) (string, error) {
		return revealed(new(term.Terminal).SecretFlag("--token", "file:"+fileOf(t, raw).Name()))
	}},
	{name: "an answer", read: func(t *testing.T, raw string) (string, error) { return stdinOf(t, raw+"\n").Term.AskLine("Name: ") }},
	{name: "a password from stdin", kept: true, read: func(t *testing.T, raw string) (string, error) {
		return stdinOf(t, raw).Term.PasswordStdin("--password-stdin")
	}},
	{name: "a new password from stdin", kept: true, read: func(t *testing.T, raw string) (string, error) { return revealed(stdinOf(t, raw).Term.NewPassword("-")) }},
	{name: "a new password from a file", kept: true, read: func(t *testing.T, raw string) (string, error) {
		return revealed(new(term.Terminal).NewPassword("file:" + fileOf(t, raw).Name()))
	}},
	{name: "a kept secret", read: func(t *testing.T, raw string) (string, error) {
		f := fileOf(t, raw)
		return revealed(files.KeptSecret(filepath.Dir(f.Name()), "text", func() (bridge.Secret, error) { return bridge.Secret{}, fs.ErrInvalid }))
	}},
	{name: "a catalogue", read: func(t *testing.T, raw string) (string, error) {
		const file = "\n  name: value\n  scopes: {a:b: x}\n  presets: {p: {scopes: [a:b]}}\n  roles: {viewer: {scopes: [a:b]}, member: {scopes: [a:b]}, admin: {scopes: [a:b]}, owner: {scopes: [a:b]}}\n  no_match: deny\n"
		if strings.HasPrefix(raw, "\xff\xfe") {
			raw = utf16LE(file)
		} else {
			raw = strings.TrimSuffix(strings.Replace(strings.Trim(raw, " \t"), "value", file, 1), "\u00a0")
		}
		c, err := readCatalogue(fileOf(t, raw).Name())
		if err != nil {
			return "", err
		}
		return c.File().Name, nil
	}},
	{name: "the list of profiles", read: func(t *testing.T, raw string) (string, error) {
		const file = `{"active":"value"}`
		if strings.HasPrefix(raw, "\xff\xfe") {
			raw = utf16LE(file)
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
func TestOutsideReaders(t *testing.T) {
	for _, r := range outsideReaders {
		t.Run(r.name, func(t *testing.T) {
			for _, raw := range []string{"value", "value\n", "value\r\n", "\ufeffvalue\n", "\ufeffvalue", " \tvalue ", "value\u00a0"} {
				if want := "value"; r.kept {
					want = strings.TrimPrefix(strings.TrimRight(raw, "\r\n"), "\ufeff")
					if got, err := r.read(t, raw); err != nil || got != want {
						t.Errorf("%q: %q %v", raw, got, err)
					}
				} else if got, err := r.read(t, raw); err != nil || got != want {
					t.Errorf("%q: %q %v", raw, got, err)
				}
			}
			bad := map[string]string{"\xff\xfevalue": "UTF-16", "value\xe9": "UTF-8"}
			if !r.env {
				bad[utf16LE("value")] = "UTF-16"
				bad["value\x00\x00\x01"] = "NUL"
			}
			for _, raw := range slices.Sorted(maps.Keys(bad)) {
				_, err := r.read(t, raw)
				if err == nil || !strings.Contains(err.Error(), bad[raw]) {
					t.Errorf("%q: %v, want %s", raw, err, bad[raw])
				}
			}
		})
	}
}

// readings are the places that read a file, a variable or a stream, by file, with how often each does.
var readings = map[string]map[string]int{
	"bridge/api/client.go": {"io.ReadAll": 1}, "bridge/api/client_oauth.go": {"io.ReadAll": 1}, "bridge/api/web.go": {"io.ReadAll": 1}, // answers and bodies: JSON
	"bridge/mark/mark.go": {"os.Open": 1}, "bridge/sqldb/state.go": {"os.Open": 2, "io.ReadAll": 1}, // what this program has written
	"cloud/catalogue.go": {"io.ReadAll": 1}, "cloud/probe.go": {"io.ReadAll": 1}, // answers: JSON
	"cmd/ace/env.go": {"os.LookupEnv": 2, "os.Environ": 1}, "cmd/ace/internal/profile/environment.go": {"os.Getenv": 1}, "cmd/ace/internal/files/read.go": {"os.Open": 1, "io.ReadAll": 1}, // the readers
	"cmd/ace/internal/term/input.go": {"io.ReadAll": 1}, "cmd/ace/internal/profile/store.go": {"os.ReadFile": 2}, "cmd/ace/internal/profile/storekey.go": {"os.LookupEnv": 1, "os.Getenv": 1},
	"cmd/ace/profiles.go": {"os.Getenv": 1}, "cmd/ace/internal/term/progress.go": {"os.Getenv": 3}, // whether they are set
	"cmd/ace/internal/term/redact.go":  {"os.Getenv": 1, "os.Environ": 1}, // what must not be shown
	"cmd/ace/internal/files/secret.go": {"os.Open": 1},                    // a folder
}

// TestReadingsAreKnown: a new place that reads text from outside uses one of the readers, or is noted here with why it does not.
func TestReadingsAreKnown(t *testing.T) {
	reads := regexp.MustCompile(`\b(os\.Getenv|os\.LookupEnv|os\.Environ|os\.ReadFile|os\.Open|io\.ReadAll)\(`)
	found := map[string]map[string]int{}
	root := filepath.Join("..", "..")
	for _, dir := range []string{"bridge", "cloud", "cmd", "server"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "sqldbtest") || strings.Contains(path, "benchtest") {
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
