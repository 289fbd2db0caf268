package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/acebridge/ace/cmd/ace/internal/run"
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
	for _, name := range run.Variables() {
		known[name] = true
	}
	for name := range known {
		if !strings.Contains(text, name) {
			t.Errorf("README does not name %s", name)
		}
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
