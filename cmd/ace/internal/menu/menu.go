package menu

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Menu runs commands that are chosen from menus.
type Menu struct {
	Term *term.Terminal // required

	// Run runs a command line with another stdin, on the other streams of Term, and returns its exit code. Required.
	Run func(ctx context.Context, stdin *os.File, args []string) int
	// Root makes a new tree of commands, which says what an argument may be. Required.
	Root func() *cobra.Command
}

// AddTo gives the root command the flag -i.
func (m *Menu) AddTo(root *cobra.Command) {
	var interactive bool
	root.Flags().BoolVarP(&interactive, "interactive", "i", false, "choose commands from a menu")
	help := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if !interactive {
			return help(cmd, args)
		}
		if !m.Term.Interactive() {
			return term.InputNeeded("the menu needs a terminal").WithHint("ace --help shows the commands")
		}
		return m.open(cmd, "ace", Entries)
	}
}

// open shows a menu until Esc or an empty answer leaves it.
func (m *Menu) open(root *cobra.Command, title string, entries []Entry) error {
	titles := make([]string, len(entries))
	for i, e := range entries {
		titles[i] = e.Title
	}
	for {
		i, err := m.Term.Pick(title, titles)
		if errors.Is(err, term.ErrNothingChosen) {
			return nil
		}
		if err != nil {
			return err
		}
		if chosen := entries[i]; chosen.Items != nil {
			err = m.open(root, title+" › "+chosen.Title, chosen.Items)
		} else {
			err = m.act(root, chosen)
		}
		if err != nil {
			return err
		}
	}
}

// act asks an entry's questions and runs its command. Only an interrupt ends the menu: a failure has been printed.
func (m *Menu) act(root *cobra.Command, e Entry) error {
	args, secret, err := m.Arguments(root.Context(), e, globalFlags(root))
	if err != nil || args == nil {
		return err
	}
	in := m.Term.In
	if !secret.IsZero() {
		if in, err = feed(secret); err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
	}
	m.Term.Note("%s", m.Term.Bold("$ ace "+commandLine(args)))
	if m.Run(root.Context(), in, args) == term.ExitInterrupted {
		return term.ErrInterrupted
	}
	return nil
}

// globalFlags returns the flags of the menu itself: --env, --profile, …
func globalFlags(root *cobra.Command) (out []string) {
	root.Flags().Visit(func(f *pflag.Flag) {
		if f.Name != "interactive" {
			out = append(out, "--"+f.Name+"="+f.Value.String())
		}
	})
	return out
}

// Arguments asks an entry's questions, and returns an argument list. A secret is for the command's stdin. The list is nil if a
// question that needs an answer got none.
func (m *Menu) Arguments(ctx context.Context, e Entry, global []string) (args []string, secret bridge.Secret, err error) {
	flags := slices.Clone(global)
	var rest []string
	for _, q := range e.Asks {
		var answer string
		if q.Secret {
			secret, err = m.Term.AskSecret(q.Label)
			answer = secret.Reveal()
		} else {
			answer, err = m.answer(ctx, e, flags, q)
		}
		switch {
		case err != nil:
			return nil, secret, err
		case answer == "" && !q.Optional:
			m.Term.Say("Nothing was entered.")
			return nil, secret, nil
		case answer == "":
		case q.Secret:
			flags = append(flags, q.Flag)
		case q.Flag == "":
			rest = []string{"--", answer}
		default:
			flags = append(flags, q.Flag+answer)
		}
	}
	return slices.Concat(e.Args, flags, rest), secret, nil
}

// answer asks one question, with a list if there are suggestions.
func (m *Menu) answer(ctx context.Context, e Entry, flags []string, q Question) (string, error) {
	words := m.suggest(ctx, e, flags, q)
	if len(words) == 0 {
		return m.Term.AskLine("%s: ", q.Label)
	}
	i, err := m.Term.Pick(q.Label, spaced(words))
	if errors.Is(err, term.ErrNothingChosen) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	answer, _, _ := strings.Cut(words[i], "\t")
	return answer, nil
}

// suggest returns what the shell would offer for the answer.
func (m *Menu) suggest(ctx context.Context, e Entry, flags []string, q Question) []string {
	if q.Flag != "" {
		return nil
	}
	root := m.Root()
	root.SetContext(ctx)
	cmd, _, err := root.Find(e.Args)
	if err != nil || cmd.ValidArgsFunction == nil || cmd.ParseFlags(flags) != nil {
		return nil
	}
	cmd.SetContext(ctx)
	words, _ := cmd.ValidArgsFunction(cmd, nil, "")
	return words
}

// spaced puts spaces between a word and its description.
func spaced(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strings.Replace(w, "\t", "  ", 1)
	}
	return out
}

// feed returns a stdin that holds a secret.
func feed(secret bridge.Secret) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		_, _ = io.WriteString(w, secret.Reveal())
		_ = w.Close()
	}()
	return r, nil
}

// commandLine writes an argument list as it would be typed.
func commandLine(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = bridge.Printable(arg)
		if strings.ContainsAny(arg, " \t\"'`$\\*?|&;<>()[]{}#!~") {
			words[i] = bridge.ShellWord(words[i])
		}
	}
	return strings.Join(words, " ")
}
