package main

import (
	"context"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/cmd/ace/internal/auth"
	"github.com/acebridge/ace/cmd/ace/internal/checkup"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/complete"
	"github.com/acebridge/ace/cmd/ace/internal/connections"
	"github.com/acebridge/ace/cmd/ace/internal/connector"
	"github.com/acebridge/ace/cmd/ace/internal/keys"
	"github.com/acebridge/ace/cmd/ace/internal/login"
	"github.com/acebridge/ace/cmd/ace/internal/menu"
	"github.com/acebridge/ace/cmd/ace/internal/org"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/report"
	"github.com/acebridge/ace/cmd/ace/internal/run"
	"github.com/acebridge/ace/cmd/ace/internal/scan"
	"github.com/acebridge/ace/cmd/ace/internal/target"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// app has what all commands share: the terminal and the profiles.
type app struct {
	Term     *term.Terminal
	Profiles *profile.Profiles
}

func newApp(in, out, err *os.File) *app {
	t := term.New(in, out, err)
	t.SecretVariables = append(run.SecretSettings(), profile.SecretVariables...)
	return &app{t, &profile.Profiles{Term: t, Version: currentVersion()}}
}

const rootLong = `ace connects a self-hosted server to its cloud.

  ace dev       run a cloud, a server and a sample app on this machine, to try it out
  ace login     log in to the cloud
  ace connect   connect a server

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 usage or input needed,
4 not logged in, 5 forbidden, 6 unreachable, 130 interrupted.`

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "ace", Short: "ace connects a self-hosted server to its cloud", Long: rootLong,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetIn(a.Term.In)
	root.SetOut(a.Term.Out)
	root.SetErr(a.Term.Err)
	f := root.PersistentFlags()
	f.StringVar(&a.Term.Env, "env", "", "use the cloud at this `HOST` or URL")
	f.StringVar(&a.Term.Profile, "profile", "", "use this profile")
	f.StringVarP(&a.Term.Output, "output", "o", term.OutputTable, "output format: table, json or yaml; some tables also have wide")
	f.BoolVarP(&a.Term.Quiet, "quiet", "q", false, "print results and errors only")
	f.BoolVar(&a.Term.NonInteractive, "non-interactive", false, "never prompt, even on a terminal")
	f.BoolVar(&a.Term.NoColor, "no-color", false, "do not use colours")
	f.BoolVar(&a.Term.Debug, "debug", false, "log each HTTP request on stderr: address, status, duration, request ID")
	root.SetFlagErrorFunc(cmdline.FlagError)
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if err := cmdline.CleanArguments(cmd, args); err != nil {
			return err
		}
		return a.Term.CheckOutput(cmd)
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(a.commands()...)
	root.SetHelpCommand(helpCommand(root))
	cmdline.Group(root)
	a.menu().AddTo(root)
	describe(root)
	(&complete.Completer{Term: a.Term, Profiles: a.Profiles, Target: a.finder()}).Fill(root)
	return root
}

// commands builds the root's commands. Each group is given all that it may touch.
func (a *app) commands() []*cobra.Command {
	connects := &connector.Connector{Term: a.Term, Profiles: a.Profiles}
	logins := &login.Group{Term: a.Term, Profiles: a.Profiles, Connector: connects}
	session := &auth.Group{Term: a.Term, Profiles: a.Profiles}
	reporter := &report.Reporter{Term: a.Term, Version: a.Profiles.Version, Variables: append(run.Variables(), profile.Variables...)}
	runner := &run.Runner{Term: a.Term, Version: a.Profiles.Version}
	return slices.Concat(
		[]*cobra.Command{logins.Command(), session.LogoutCommand(), session.Command(logins.Commands()...)},
		(&connections.Group{Term: a.Term, Profiles: a.Profiles, Target: a.finder(), Connector: connects}).Commands(),
		(&keys.Group{Term: a.Term, Target: a.finder(), Version: a.Profiles.Version}).Commands(),
		[]*cobra.Command{
			(&org.Group{Term: a.Term, Profiles: a.Profiles}).Command(),
			(&scan.Scanner{Term: a.Term}).Command(),
			(&checkup.Group{Term: a.Term, Profiles: a.Profiles, Reporter: reporter}).Command(),
			runner.ServerCommand(), runner.CloudCommand(), runner.DevCommand(),
			a.versionCommand(), completionCommand(),
		},
	)
}

// finder finds the connections, keys and servers that commands name.
func (a *app) finder() *target.Finder { return &target.Finder{Term: a.Term, Profiles: a.Profiles} }

// menu is `ace -i`. A chosen command runs as if it had been typed, in an app of its own.
func (a *app) menu() *menu.Menu {
	return &menu.Menu{Term: a.Term,
		Run: func(ctx context.Context, stdin *os.File, args []string) int {
			inner := newApp(stdin, a.Term.Out, a.Term.Err)
			inner.Term.Interrupted = a.Term.Interrupted
			return inner.execute(ctx, args)
		},
		Root: func() *cobra.Command { return newApp(a.Term.In, a.Term.Out, a.Term.Err).rootCommand() },
	}
}

// helpCommand is `ace help COMMAND…`. Unlike cobra's own, it fails if there is no such command.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "help [COMMAND…]", Short: "Help about a command", Hidden: true,
		RunE: func(_ *cobra.Command, words []string) error {
			cmd, rest, err := root.Find(words)
			if err != nil {
				return err
			}
			if err := cmdline.NoArgs(cmd, rest); err != nil {
				return err
			}
			return cmd.Help()
		}}
}
