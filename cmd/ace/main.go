// Command ace is the whole product: CLI, server and cloud.
//
// This package has main and the tree of commands. Each group of commands is a package of internal, built from a struct literal
// that lists all it may touch:
//
//	the tree of commands ──> login, auth, org, keys, connections, scan, run    the groups
//	                    └──> complete, menu                                    work on the tree: Tab, ace -i
//	the groups ──> preview, target, connector                                  what several groups share
//	           ──> cmdline, profile, term, files                               words, credentials, the terminal
//
// No group imports another, and none has rules: what may be done is decided in bridge, server and cloud. Nothing outside cmd/ace
// reads the environment.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// version is set by the linker: -X main.version=v1.2.3.
var version = ""

func main() { os.Exit(command()) }

// command runs the process's command line and returns its exit code.
func command() int {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // under nohup it is ignored, and must stay so
		signals = append(signals, syscall.SIGHUP) // the terminal is closed; `ace dev` still removes its secrets
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	a.Term.Interrupted = ctx.Done()
	a.Term.Self = term.SelfCommand()
	return a.execute(ctx, os.Args[1:])
}

// execute runs one command line and returns its exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	a.Term.Typed = args
	root := a.rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, term.ErrInterrupted), ctx.Err() != nil && errors.Is(err, context.Canceled):
		return term.ExitInterrupted
	}
	return a.Term.Fail(helpful(cmd, err))
}

// helpful gives a usage error without a hint the command's help.
func helpful(cmd *cobra.Command, err error) error {
	e := term.Explain(err)
	if e.Hint == "" && term.ExitCode(e) == term.ExitUsage {
		return e.WithHint("%s --help", cmd.CommandPath())
	}
	return e
}
