package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/cmd/ace/internal/menu"
	"github.com/acebridge/ace/cmd/ace/internal/outsidetest"
)

// Each entry of the menu runs a command that exists and accepts the arguments, none of which is a secret.
func TestMenuRunsCommands(t *testing.T) {
	root := newTestApp().rootCommand()
	var check func(entries []menu.Entry)
	check = func(entries []menu.Entry) {
		for _, e := range entries {
			if (e.Items == nil) == (e.Args == nil) {
				t.Errorf("%q is not one of a menu and a command", e.Title)
			}
			if e.Items != nil {
				check(e.Items)
				continue
			}
			if find(root, e) == nil {
				t.Errorf("%q: there is no ace %s that takes what is asked", e.Title, strings.Join(e.Args, " "))
				continue
			}
			args, _, err := feeding(t, strings.Repeat("word\n", len(e.Asks))).menu().Arguments(t.Context(), menu.Entry{Args: e.Args, Asks: answerable(t, e)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			runnable(t, args)
		}
	}
	check(menu.Entries)
}

// find returns the command of an entry, or nil if there is none with all the flags that it asks for.
func find(root *cobra.Command, e menu.Entry) *cobra.Command {
	cmd, rest, err := root.Find(e.Args)
	if err != nil || len(rest) > 0 {
		return nil
	}
	for _, q := range e.Asks {
		name, _, _ := strings.Cut(strings.TrimPrefix(q.Flag, "--"), "=")
		if q.Flag != "" && cmd.Flags().Lookup(name) == nil {
			return nil
		}
	}
	return cmd
}

// answerable returns an entry's questions without the secret, which a test without a terminal cannot answer.
func answerable(t *testing.T, e menu.Entry) []menu.Question {
	return slices.DeleteFunc(slices.Clone(e.Asks), func(q menu.Question) bool {
		if q.Secret && !strings.HasSuffix(q.Flag, "=-") && !strings.HasSuffix(q.Flag, "-stdin") {
			t.Errorf("%q gives the secret otherwise than on stdin: %s", e.Title, q.Flag)
		}
		return q.Secret
	})
}

// feeding is an app that reads input.
func feeding(t *testing.T, input string) *app {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = null.Close() })
	return newApp(outsidetest.FileOf(t, input), null, null)
}
