package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// app is what every command shares: the terminal and the profiles.
type app struct {
	Term     *term.Terminal
	Profiles *profile.Profiles
}

func newApp(in, out, err *os.File) *app {
	t := term.New(in, out, err)
	t.SecretVariables = append(secretSettings(), profile.SecretVariables...)
	return &app{t, &profile.Profiles{Term: t, Version: currentVersion()}}
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
	root.SetFlagErrorFunc(flagError)
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if err := cleanArguments(cmd, args); err != nil {
			return err
		}
		return a.Term.CheckOutput()
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(
		a.loginCommand(), a.logoutCommand(), a.authCommand(),
		a.connectCommand(), a.disconnectCommand(), a.connectionsCommand(),
		a.apiKeyCommand(), a.whyCommand(), a.scanCommand(), a.orgCommand(),
		a.serverCommand(), a.cloudCommand(), a.devCommand(), a.versionCommand(), completionCommand(),
	)
	root.SetHelpCommand(helpCommand(root))
	group(root)
	a.menuFlag(root)
	describe(root)
	a.completions(root)
	return root
}

// cleanArguments reads flags and arguments as all text from outside is read: they are often pasted, or come from a variable.
func cleanArguments(cmd *cobra.Command, args []string) error {
	if cmd.Name() == "scan" { // file names are bytes
		return nil
	}
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.Type() != "string" || err != nil {
			return
		}
		text, wrong := bridge.OutsideText(f.Value.String())
		if wrong != nil {
			err = term.Usage("--%s: %w", f.Name, wrong)
			return
		}
		if f.Name == "password" {
			return // white space may be a part of it
		}
		err = f.Value.Set(text)
	})
	for i := range args {
		text, wrong := bridge.OutsideText(args[i])
		if wrong != nil {
			return term.Usage("argument %d: %w", i+1, wrong)
		}
		args[i] = text
	}
	return err
}

// helpCommand is `ace help COMMAND…`, where cobra's own exits with 0 for a command that there is not.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "help [COMMAND…]", Short: "Help about a command", Hidden: true,
		RunE: func(_ *cobra.Command, words []string) error {
			cmd, rest, err := root.Find(words)
			if err != nil {
				return err
			}
			if err := noArgs(cmd, rest); err != nil {
				return err
			}
			return cmd.Help()
		}}
}

// group makes a command that only holds others: alone it shows its help; a word it does not know is a usage error,
// where cobra would exit with 0.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = noArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// noArgs refuses arguments and names the subcommand that may have been meant.
func noArgs(cmd *cobra.Command, args []string) error {
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
		return term.Usage("%s takes no argument", cmd.CommandPath()) // which may be a secret
	}
	if strings.Trim(args[0], "abcdefghijklmnopqrstuvwxyz-") != "" || len(args[0]) > 30 { // no command, and perhaps a secret
		return term.Usage("%s has no such command", cmd.CommandPath()).WithHint("%s --help", cmd.CommandPath())
	}
	return term.Usage("%s has no command %q%s", cmd.CommandPath(), args[0], term.DidYouMean(args[0], names)).
		WithHint("%s --help", cmd.CommandPath())
}

// someArgs demands between least and most arguments.
func someArgs(least, most int, what string) cobra.PositionalArgs {
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

// wrongFlag says what is wrong with the flags, but repeats no value: it may be a secret.
func wrongFlag(cmd *cobra.Command, err error) string {
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if group := e.GetSpecifiedShortnames(); group != "" {
			return "unknown flag: -" + group[:1]
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		text := "unknown flag: --" + e.GetSpecifiedName()
		if n := catalogue.Nearest(e.GetSpecifiedName(), names); n != "" {
			text += fmt.Sprintf("; did you mean --%s?", n)
		}
		return text
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return "flag needs an argument: --" + e.GetFlag().Name
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		kinds := map[string]string{"bool": "true or false", "int": "a whole number", "int64": "a whole number", "duration": "a duration such as 90s or 2h"}
		return fmt.Sprintf("--%s: the value is not %s", e.GetFlag().Name, cmp.Or(kinds[e.GetFlag().Value.Type()], "what it should be"))
	}
	return "the flags cannot be read"
}

func flagError(cmd *cobra.Command, err error) error {
	return term.Usage("%s", wrongFlag(cmd, err)).WithHint("%s --help", cmd.CommandPath())
}

// background is a context for what must still be done after an interrupt: cleaning up.
func background(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
}
