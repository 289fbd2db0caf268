package cmdline

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Group makes a command that only holds others. Alone it shows its help. An unknown word is a usage error; cobra would exit
// with 0.
func Group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// NoArgs refuses arguments, and suggests the subcommand that was meant.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	if len(names) == 0 {
		return term.Usage("%s takes no argument", cmd.CommandPath()) // the argument is not repeated: it may be a secret
	}
	if strings.Trim(args[0], "abcdefghijklmnopqrstuvwxyz-") != "" || len(args[0]) > 30 { // not a command, and perhaps a secret
		return term.Usage("%s has no such command", cmd.CommandPath()).WithHint("%s --help", cmd.CommandPath())
	}
	return term.Usage("%s has no command %q%s", cmd.CommandPath(), args[0], term.DidYouMean(args[0], names)).
		WithHint("%s --help", cmd.CommandPath())
}

// SomeArgs requires between least and most arguments.
func SomeArgs(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return term.Usage("%s needs %s", cmd.CommandPath(), what)
		case len(args) > most:
			return term.Usage("%s takes one %s, got %d", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

// RoleNames are the roles, the highest first.
var RoleNames = []string{string(bridge.RoleOwner), string(bridge.RoleAdmin), string(bridge.RoleMember), string(bridge.RoleViewer)}

// Exactly requires exactly n arguments.
func Exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return term.Usage("%s needs %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

// ServerURL parses the value of --server.
func ServerURL(flag string) (bridge.ServerURL, error) {
	u, err := bridge.CanonicalURL(flag)
	if err != nil {
		e := term.Explain(err)
		return "", term.Usage("--server: %s", e.Detail).WithHint("%s", e.Hint)
	}
	return u, nil
}
