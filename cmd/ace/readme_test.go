package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// What the README shows of the command exists: every command and flag, and every variable of its table.
func TestReadme(t *testing.T) {
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	commands := 0
	for _, m := range regexp.MustCompile("(?m)(?:^\\$ (?:\\./ace|go run \\./cmd/ace)|^ace|`ace) ([a-z][^`#\n]*)").FindAllStringSubmatch(text, -1) {
		args := strings.Fields(m[1])
		commands++
		if !strings.HasPrefix(m[0], "`") { // a whole command line; in the text only the command's name is meant
			runnable(t, args)
			continue
		}
		name := args[:1]
		if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
			name = args[:2]
		}
		if cmd, rest, err := newApp(os.Stdin, os.Stdout, os.Stderr).rootCommand().Find(name); err != nil || cmd.Name() == "ace" ||
			(len(rest) > 0 && cmd.HasSubCommands()) {
			t.Errorf("README: there is no `ace %s`", m[1])
		}
	}
	if commands < 10 {
		t.Errorf("only %d commands were found in the README", commands)
	}
	known := map[string]bool{}
	for _, spec := range []any{&serverEnv{}, &cloudEnv{}} {
		eachVariable(reflect.ValueOf(spec).Elem(), func(name string, _ reflect.Value) { known[name] = true })
	}
	for name := range known {
		if !strings.Contains(text, name) {
			t.Errorf("README does not name %s", name)
		}
	}
}

// The catalogue that the README shows is one.
func TestReadmeCatalogue(t *testing.T) {
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(raw)
	if m == nil {
		t.Fatal("README shows no catalogue")
	}
	if _, err := catalogue.Parse(m[1]); err != nil {
		t.Error(err)
	}
}

func runnable(t *testing.T, args []string) {
	t.Helper()
	cmd, rest, err := newApp(os.Stdin, os.Stdout, os.Stderr).rootCommand().Find(args)
	if err != nil || cmd.Name() == "ace" {
		t.Errorf("there is no command %v (%v)", args, err)
		return
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%v: %v", args, err)
	} else if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		t.Errorf("%v: %v", args, err)
	}
}

// tokenOf is a developer token of one of the world's people.
func (w *world) tokenOf(name string) string {
	w.t.Helper()
	token, _, err := w.cloud.DeveloperToken(w.t.Context(), name+"@acme.test", "acme")
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Reveal()
}

func section(t *testing.T, heading string) string {
	t.Helper()
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(raw), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("README has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// What the tour shows after its login works as it is typed, in that order.
func TestTheTourAsTyped(t *testing.T) {
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	ace := newTerminal(t, "ACE_ENV="+string(w.cloudURL))
	ace.must("", "auth", "login-token", "--token", w.tokenOf("admin"))
	here := strings.TrimPrefix(string(w.url), "http://127.0.0.1")
	ran := 0
	for _, m := range regexp.MustCompile(`(?m)^\$ \./ace (.*)$`).FindAllStringSubmatch(section(t, "The five-minute tour"), -1) {
		if m[1] == "login" {
			continue
		}
		ace.must("", strings.Fields(strings.ReplaceAll(m[1], "localhost:7777", "localhost"+here))...)
		ran++
	}
	if ran < 4 {
		t.Errorf("only %d commands were run", ran)
	}
}

// Every heading of the troubleshooting is text that somebody can have seen: it is in a message of the product.
func TestTroubleshootingIsAboutRealMessages(t *testing.T) {
	var product strings.Builder
	for _, dir := range []string{"cmd", "bridge", "cloud", "server", "web"} {
		err := filepath.WalkDir("../../"+dir, func(path string, d fs.DirEntry, err error) error {
			ext := filepath.Ext(path)
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || (ext != ".go" && ext != ".js" && ext != ".html") {
				return err
			}
			raw, err := os.ReadFile(path) //nolint:gosec // of this repository
			for line := range strings.Lines(string(raw)) {
				if !strings.HasPrefix(strings.TrimSpace(line), "//") {
					product.WriteString(line)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	headings := regexp.MustCompile(`(?ms)^\*\*(.*?)\*\*`).FindAllStringSubmatch(section(t, "Troubleshooting"), -1)
	if len(headings) < 5 {
		t.Fatalf("only %d headings were found", len(headings))
	}
	for _, h := range headings {
		quoted := regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(h[1], -1)
		if len(quoted) == 0 {
			t.Errorf("the heading %q quotes no message", h[1])
		}
		for _, q := range quoted {
			if !strings.Contains(product.String(), q[1]) {
				t.Errorf("%q is in no message", q[1])
			}
		}
	}
}
