package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func visible(cmd *cobra.Command) bool {
	return cmd.Name() != "help" && !strings.HasPrefix(cmd.Name(), "__")
}

// Every command shows how it is used, and what it shows would be taken.
func TestExamples(t *testing.T) {
	seen := map[string]bool{}
	eachCommand(newTestApp().rootCommand(), func(path string, cmd *cobra.Command) {
		seen[path] = true
		if !visible(cmd) || cmd.HasSubCommands() && cmd.Example == "" {
			return
		}
		if cmd.Example == "" {
			t.Errorf("ace %s has no example: add one to examples.go", path)
		}
		for line := range strings.Lines(cmd.Example) {
			example := strings.TrimRight(line, "\n")
			if !strings.HasPrefix(example, "  ace ") {
				t.Errorf("ace %s: the example %q is no command line with two spaces before it", path, example)
				continue
			}
			if args := words(example)[1:]; args[0] != "-i" { // the root itself, which runnable takes for nothing found
				runnable(t, args)
			}
		}
	})
	for path := range examples {
		if !seen[path] {
			t.Errorf("examples.go has an example of ace %s, which does not exist", path)
		}
	}
}

// words splits a command line at spaces that are not within double quotes.
func words(line string) []string {
	quoted := false
	fields := strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
	for i := range fields {
		fields[i] = strings.ReplaceAll(fields[i], `"`, "")
	}
	return fields
}

// Every command is in the root's help, in a group, and says in one line what it does.
func TestHelpIsConsistent(t *testing.T) {
	root := newTestApp().rootCommand()
	listed := map[string]bool{}
	for _, g := range groups {
		for _, name := range g.commands {
			listed[name] = true
		}
	}
	for _, cmd := range root.Commands() {
		if visible(cmd) && cmd.GroupID == "" {
			t.Errorf("ace %s is in no group of examples.go", cmd.Name())
		}
		delete(listed, cmd.Name())
	}
	for name := range listed {
		t.Errorf("examples.go groups ace %s, which does not exist", name)
	}
	eachCommand(root, func(path string, cmd *cobra.Command) {
		if !visible(cmd) || path == "" {
			return
		}
		if s := cmd.Short; s == "" || strings.HasSuffix(s, ".") || strings.ToUpper(s[:1]) != s[:1] {
			t.Errorf("ace %s: the short description %q does not begin with a capital, or ends with a full stop", path, s)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("ace %s: --%s says nothing", path, f.Name)
			}
		})
	})
}

// failing runs a command line that must not get as far as doing anything, and returns its error.
func failing(t *testing.T, args ...string) *bridge.Error {
	t.Helper()
	a := newTestApp()
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetOut(&bytes.Buffer{})
	if err := root.ExecuteContext(t.Context()); err != nil {
		return term.Explain(err)
	}
	t.Errorf("ace %s is no error", strings.Join(args, " "))
	return &bridge.Error{}
}

// mistyped doubles the last letter but one of a word.
func mistyped(word string) string {
	i := len(word) - 2
	return word[:i] + word[i:i+1] + word[i:]
}

// A word that is no command, and a flag that there is not, are usage errors that name the nearest, at every level.
func TestMistakesNameTheNearest(t *testing.T) {
	checked := 0
	check := func(args []string, want string) {
		t.Helper()
		checked++
		if e := failing(t, args...); term.ExitCode(e) != term.ExitUsage || !strings.Contains(e.Detail, want) || e.Hint == "" {
			t.Errorf("ace %s: exit code %d, %q, want the nearest: %s", strings.Join(args, " "), term.ExitCode(e), e.Detail, want)
		}
	}
	eachCommand(newTestApp().rootCommand(), func(path string, cmd *cobra.Command) {
		if !visible(cmd) {
			return
		}
		if cmd.HasParent() {
			args := strings.Fields(path)
			args[len(args)-1] = mistyped(cmd.Name())
			check(args, `did you mean "`+cmd.Name()+`"`)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			check(append(strings.Fields(path), "--"+mistyped(f.Name)), "did you mean --"+f.Name)
		})
	})
	if checked < 80 {
		t.Errorf("only %d mistakes were made", checked)
	}
	if e := failing(t, "connect", "-z"); term.ExitCode(e) != term.ExitUsage {
		t.Errorf("an unknown short flag: %d %q", term.ExitCode(e), e.Detail)
	}
}

// What an entry of the menu runs is a command that exists and would be taken, and no secret is an argument of it.
func TestMenuRunsCommands(t *testing.T) {
	root := newTestApp().rootCommand()
	var check func(entries []entry)
	check = func(entries []entry) {
		for _, e := range entries {
			if (e.items == nil) == (e.args == nil) {
				t.Errorf("%q is not one of a menu and a command", e.title)
			}
			if e.items != nil {
				check(e.items)
				continue
			}
			if find(root, e) == nil {
				t.Errorf("%q: there is no ace %s that takes what is asked", e.title, strings.Join(e.args, " "))
				continue
			}
			a := feeding(t, strings.Repeat("word\n", len(e.asks)))
			args, _, err := a.told(t.Context(), entry{args: e.args, asks: open(t, e)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			runnable(t, args)
		}
	}
	check(menu)
}

// find is the command of an entry, or nil where there is none that takes all it asks.
func find(root *cobra.Command, e entry) *cobra.Command {
	cmd, rest, err := root.Find(e.args)
	if err != nil || len(rest) > 0 {
		return nil
	}
	for _, q := range e.asks {
		name, _, _ := strings.Cut(strings.TrimPrefix(q.flag, "--"), "=")
		if q.flag != "" && cmd.Flags().Lookup(name) == nil {
			return nil
		}
	}
	return cmd
}

// open are an entry's questions without the secret, which a test without a terminal cannot answer.
func open(t *testing.T, e entry) []question {
	return slices.DeleteFunc(slices.Clone(e.asks), func(q question) bool {
		if q.secret && !strings.HasSuffix(q.flag, "=-") && !strings.HasSuffix(q.flag, "-stdin") {
			t.Errorf("%q gives the secret otherwise than on stdin: %s", e.title, q.flag)
		}
		return q.secret
	})
}

// feeding is an app that reads input.
func feeding(t *testing.T, input string) *app {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	in, err := feed(bridge.NewSecret(input))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = null.Close() })
	return newApp(in, null, null)
}

// The argument lists that the menu makes of answers: what was called with is kept, and no answer is taken for a flag.
func TestMenuArguments(t *testing.T) {
	for _, tt := range []struct{ entry, answers, want string }{
		{"API Key", "ci\n\n", "login api-key --profile=x --name=ci"},
		{"API Key", "my key\norg-123\n", `login api-key --profile=x "--name=my key" --organization-id=org-123`},
		{"API Key", "$(id)\n\n", "login api-key --profile=x '--name=$(id)'"},
		{"API Key", "\n", ""},
		{"E-mail and password", "a@b.c\n123456\n", "login --profile=x --email=a@b.c --otp=123456"},
		{"Revive: a new secret, the old one dies at once", "\n--all\n30d\n", "api-key revive --profile=x --expires=30d -- --all"},
	} {
		e := findEntry(menu, tt.entry)
		args, _, err := feeding(t, tt.answers).told(t.Context(), entry{args: e.args, asks: open(t, e)}, []string{"--profile=x"})
		if got := commandLine(args); err != nil || got != tt.want {
			t.Errorf("%s: %s (%v), want %s", tt.entry, got, err, tt.want)
		}
	}
}

func findEntry(entries []entry, title string) entry {
	for _, e := range entries {
		if e.title == title {
			return e
		}
		if e := findEntry(e.items, title); e.title != "" {
			return e
		}
	}
	return entry{}
}
