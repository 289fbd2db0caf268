package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func visible(cmd *cobra.Command) bool {
	return cmd.Name() != "help" && !strings.HasPrefix(cmd.Name(), "__")
}

// Every command shows how it is used, and what it shows would be taken.
func TestExamples(t *testing.T) {
	seen := map[string]bool{}
	cmdline.Each(newTestApp().rootCommand(), func(path string, cmd *cobra.Command) {
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
	cmdline.Each(root, func(path string, cmd *cobra.Command) {
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
	cmdline.Each(newTestApp().rootCommand(), func(path string, cmd *cobra.Command) {
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
