package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/run"
	"github.com/acebridge/ace/cmd/ace/internal/scan"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// app is what every command shares: the terminal and the profiles.
type app struct {
	Version  string
	Run      *run.Runner
	Term     *term.Terminal
	Profiles *profile.Profiles
}

func newApp(in, out, err *os.File) *app {
	t := term.New(in, out, err)
	t.SecretVariables = append(run.SecretSettings(), profile.SecretVariables...)
	return &app{currentVersion(), &run.Runner{Term: t, Version: currentVersion()}, t, &profile.Profiles{Term: t, Version: currentVersion()}}
}

const rootLong = `ace connects a self-hosted server to its cloud.

  ace dev       a cloud, a server and a sample app on this machine, to try it
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
	f.StringVar(&a.Term.Env, "env", "", "the cloud `HOST` (or URL) to use")
	f.StringVar(&a.Term.Profile, "profile", "", "the profile to use")
	f.StringVarP(&a.Term.Output, "output", "o", term.OutputTable, "table, json or yaml")
	f.BoolVarP(&a.Term.Quiet, "quiet", "q", false, "print results and errors only")
	f.BoolVar(&a.Term.NonInteractive, "non-interactive", false, "never ask, even on a terminal")
	f.BoolVar(&a.Term.NoColor, "no-color", false, "no colours")
	f.BoolVar(&a.Term.Debug, "debug", false, "tell of each HTTP request on stderr: address, status, duration, request ID")
	root.SetFlagErrorFunc(cmdline.FlagError)
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if err := cmdline.CleanArguments(cmd, args); err != nil {
			return err
		}
		return a.Term.CheckOutput()
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(
		a.loginCommand(), a.logoutCommand(), a.authCommand(),
		a.connectCommand(), a.disconnectCommand(), a.connectionsCommand(),
		a.apiKeyCommand(), a.whyCommand(), (&scan.Scanner{Term: a.Term}).Command(), a.orgCommand(),
		a.Run.ServerCommand(), a.Run.CloudCommand(), a.Run.DevCommand(), a.versionCommand(), completionCommand(),
	)
	root.SetHelpCommand(helpCommand(root))
	cmdline.Group(root)
	a.menuFlag(root)
	describe(root)
	a.completions(root)
	return root
}

// helpCommand is `ace help COMMAND…`, where cobra's own exits with 0 for a command that there is not.
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
