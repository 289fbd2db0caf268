package menu

import (
	"os"
	"slices"
	"testing"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// The menu makes argument lists from answers: it keeps the flags it was started with, and takes no answer for a flag.
func TestMenuArguments(t *testing.T) {
	for _, tt := range []struct{ entry, answers, want string }{
		{"API Key", "ci\n\n", "login api-key --profile=x --name=ci"},
		{"API Key", "my key\norg-123\n", `login api-key --profile=x "--name=my key" --organization-id=org-123`},
		{"API Key", "$(id)\n\n", "login api-key --profile=x '--name=$(id)'"},
		{"API Key", "\n", ""},
		{"E-mail and password", "a@b.c\n123456\n", "login --profile=x --email=a@b.c --otp=123456"},
		{"Revive: a new secret, the old one stops working at once", "\n--all\n30d\n", "api-key revive --profile=x --expires=30d -- --all"},
	} {
		e := findEntry(Entries, tt.entry)
		args, _, err := feeding(t, tt.answers).Arguments(t.Context(), Entry{Args: e.Args, Asks: answerable(e)}, []string{"--profile=x"})
		if got := commandLine(args); err != nil || got != tt.want {
			t.Errorf("%s: %s (%v), want %s", tt.entry, got, err, tt.want)
		}
	}
}

func findEntry(entries []Entry, title string) Entry {
	for _, e := range entries {
		if e.Title == title {
			return e
		}
		if e := findEntry(e.Items, title); e.Title != "" {
			return e
		}
	}
	return Entry{}
}

// answerable returns an entry's questions without the secret, which a test without a terminal cannot answer.
func answerable(e Entry) []Question {
	return slices.DeleteFunc(slices.Clone(e.Asks), func(q Question) bool { return q.Secret })
}

// feeding is a menu that reads its answers from input, over a tree without commands.
func feeding(t *testing.T, input string) *Menu {
	t.Helper()
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
	return &Menu{Term: term.New(in, null, null), Root: func() *cobra.Command { return &cobra.Command{} }}
}
