package run

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/term"
	"github.com/acebridge/ace/server"
)

// linking builds the commands that ask a running server, or join and leave in its place.
type linking struct{ *Runner }

// joinCommand is `ace server join`.
func (runner linking) joinCommand() *cobra.Command {
	var name string
	var yes bool
	cmd := &cobra.Command{Use: "join [-|file:PATH|TOKEN]", Args: cmdline.SomeArgs(0, 1, "the join token"),
		Short: "Join an organization of a cloud with a join token, and open a link to it",
		Long: `Join an organization of a cloud with a join token, and open a link to it: the server needs no open port.

The token comes from "Add a server" in the dashboard, or from ace org join-token create. - reads it from stdin; without an argument
it is ACE_JOIN_TOKEN or the file that ACE_JOIN_TOKEN_FILE names. A token on the command line stands in the shell's history.

A server that runs on this data directory joins and goes on. If none runs, this command starts it and serves until it is stopped;
from then on, ` + "`ace server`" + ` opens the link by itself. ` + "`ace server leave`" + ` undoes it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := readServerEnv(true)
			if err != nil {
				return err
			}
			token, err := runner.joinToken(&e, args)
			if err != nil {
				return err
			}
			return runner.join(cmd.Context(), &e, token, name, yes)
		}}
	cmd.Flags().StringVar(&name, "name", "", "the connection's name; without it that of the machine, or the host of ACE_PUBLIC_URL")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// joinToken reads the join token of a command, and hides it from those who list processes.
func (runner linking) joinToken(e *serverEnv, args []string) (bridge.Secret, error) {
	if len(args) == 0 {
		if err := e.requireJoinToken(false, nil); err != nil {
			return bridge.Secret{}, err
		}
		if e.JoinToken.IsZero() {
			return bridge.Secret{}, term.InputNeeded("no join token").
				WithHint("give it on stdin: ace server join -   (the dashboard makes one under \"Add a server\", or ace org join-token create)")
		}
		return e.JoinToken, nil
	}
	token, err := runner.Term.SecretFlag("the join token", args[0])
	if err != nil {
		return token, err
	}
	if _, err := bridge.ParseJoinToken(token); err != nil {
		return token, err
	}
	if args[0] == "-" || strings.HasPrefix(args[0], "file:") {
		return token, nil
	}
	runner.Term.Say("The token stands in your shell's history. `ace server join -` reads it from stdin.")
	again := slices.Clone(os.Args)
	if i := slices.Index(again, args[0]); i > 0 {
		again = slices.Delete(again, i, i+1)
		if err := files.ExecuteAgain(again, token); err != nil {
			runner.Term.Note("It also stands in the list of processes: %v", err)
		}
	}
	return token, nil
}

func (runner linking) join(ctx context.Context, e *serverEnv, token bridge.Secret, name string, yes bool) error {
	parsed, err := bridge.ParseJoinToken(token)
	if err != nil {
		return err
	}
	if name != "" && !bridge.PlainText(name, api.MaxServerName) {
		return term.Usage("--name must be plain text of at most %d bytes", api.MaxServerName)
	}
	if err := runner.agreeToJoin(parsed, yes); err != nil {
		return err
	}
	name = e.connectionName(name)
	own, err := runner.operator(e)
	if err == nil {
		_, err = own.Status(ctx)
	}
	if bridge.CodeOf(err) == bridge.CodeServerNotRunning {
		return runner.runServer(ctx, start{token: token, name: name, joined: func(j api.Joined) { _ = runner.printJoined(j, true) }})
	}
	if err != nil {
		return err
	}
	done := runner.Term.Working("joining")
	joined, err := own.Join(ctx, token, name)
	done()
	if err != nil {
		return err
	}
	return runner.printJoined(joined, false)
}

// agreeToJoin shows on a terminal whom a server would join, and asks.
func (runner linking) agreeToJoin(token bridge.JoinToken, yes bool) error {
	if runner.Term.Interactive() && !yes {
		agreed, err := runner.Term.Confirm("Join the organization %s at %s? Its admins can then call this server.", runner.Term.Bold(token.Org()), token.Cloud())
		if err != nil {
			return err
		}
		if !agreed {
			return term.InputNeeded("not joined")
		}
	} else {
		runner.Term.Note("Joining the organization %s at %s.", token.Org(), token.Cloud())
	}
	return nil
}

// printJoined says what a server has joined.
func (runner linking) printJoined(j api.Joined, serving bool) error {
	return runner.Term.Print(j, func(w io.Writer) {
		if j.Connection == "" {
			_, _ = fmt.Fprintf(w, "this server has joined %s at %s already; the token was not needed\n", j.Org, j.Cloud)
		} else {
			_, _ = fmt.Fprintf(w, "joined %s (%s) as %s\n", bridge.Printable(j.Organization), j.Org, bridge.Printable(j.Name))
			term.Row(w, "Dashboard", string(j.Cloud))
		}
		if serving {
			term.Row(w, "Serving", "until Ctrl-C; "+runner.Term.Self+" server starts it again, with its link")
		}
	})
}

// leaveCommand is `ace server leave`.
func (runner linking) leaveCommand() *cobra.Command {
	var yes, force bool
	cmd := &cobra.Command{Use: "leave", Short: "Undo a join: remove the connection from the cloud, and the cloud from this server", Args: cmdline.NoArgs,
		Long: `Undo a join: remove the connection from the cloud, revoke its key, and forget the cloud. The server may be running or stopped.

If the cloud cannot be reached, nothing changes (exit code 6); --force forgets it on this side only.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				if !runner.Term.Interactive() {
					return term.InputNeeded("leaving needs confirmation").WithHint("ace server leave --yes")
				}
				if agreed, err := runner.Term.Confirm("Leave the organization? Nobody reaches this server through its cloud any more."); err != nil || !agreed {
					return cmpErr(err, term.InputNeeded("not left"))
				}
			}
			var e serverEnv
			if err := readEnv(&e); err != nil {
				return err
			}
			left, err := runner.leave(cmd.Context(), &e, force)
			if err != nil {
				return err
			}
			return runner.Term.Print(left, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "left %s at %s\n", left.Org, left.Cloud)
				if !left.Told {
					_, _ = fmt.Fprintln(w, "the cloud was not told, or knows nothing of the link: if the connection is still in its dashboard, disconnect it there")
				}
			})
		}}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&force, "force", false, "forget the join here even if the cloud cannot be told")
	return cmd
}

func cmpErr(err error, otherwise *bridge.Error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// leave has the running server leave, or, if none runs, does it on the server's database.
func (runner linking) leave(ctx context.Context, e *serverEnv, force bool) (api.Left, error) {
	own, err := runner.operator(e)
	if err == nil {
		var left api.Left
		if left, err = own.Leave(ctx, force); err == nil {
			return left, nil
		}
	}
	if bridge.CodeOf(err) != bridge.CodeServerNotRunning {
		return api.Left{}, err
	}
	cfg, _, log, err := runner.configured(e, runner.Term.Err)
	if err != nil {
		return api.Left{}, err
	}
	cfg.Tunnel.Token, cfg.Tunnel.Required = bridge.Secret{}, true // which also allows for a server that has no URL
	srv, err := server.New(ctx, cfg, log)
	if err != nil {
		return api.Left{}, err
	}
	defer func() { _ = srv.Close() }()
	return srv.Links().Leave(ctx, audit.Actor{ID: "operator"}, force)
}

// statusCommand is `ace server status`.
func (runner linking) statusCommand() *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Show how the running server is: its cloud, its links and its app", Args: cmdline.NoArgs,
		Long: `Show how the running server is: its cloud, its links and its app.

Exit codes: 0 ready, 1 not ready, 6 no server runs on this data directory.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var e serverEnv
			if err := readEnv(&e); err != nil {
				return err
			}
			own, err := runner.operator(&e)
			if err != nil {
				return err
			}
			status, err := own.Status(cmd.Context())
			if err != nil {
				return err
			}
			if err := runner.Term.Print(status, func(w io.Writer) { printStatus(w, status) }); err != nil {
				return err
			}
			if status.Ready {
				return nil
			}
			return bridge.E(bridge.Conflict, bridge.CodeServerNotReady, "the server is not ready (%s): %s", status.Code, status.Cause).WithHint("%s", status.Hint)
		}}
}

func printStatus(w io.Writer, s api.ServerStatus) {
	ready := "yes"
	if !s.Ready {
		ready = "no: " + string(s.Code)
	}
	term.Row(w, "Ready", ready)
	term.Row(w, "Server", s.ServerID+" (version "+s.Version+")")
	term.Row(w, "Since", term.When(&s.StartedAt))
	if s.Listening != "" {
		term.Row(w, "Port", s.Listening)
	} else {
		term.Row(w, "Port", "none")
	}
	for _, u := range s.PublicURLs {
		term.Row(w, "URL", string(u))
	}
	switch {
	case s.Trust == nil:
		term.Row(w, "Cloud", "none")
	case s.Trust.Pinned:
		term.Row(w, "Cloud", string(s.Trust.Cloud)+", joined "+s.Trust.Org)
	default:
		term.Row(w, "Cloud", string(s.Trust.Cloud)+", organization "+s.Trust.Org)
	}
	app := s.App.State
	if s.App.Cause != "" {
		app += ": " + s.App.Cause
	}
	term.Row(w, "App", app)
	for _, links := range s.Links {
		term.Row(w, "Last probe", term.When(links.ProbeAt))
		for i, l := range links.Links {
			state := "up since " + term.When(&l.Since)
			if !l.Up {
				state = "down since " + term.When(&l.Since)
				if l.Code != "" {
					state += ", " + string(l.Code) + ": " + bridge.Printable(l.Cause)
				}
			}
			term.Row(w, fmt.Sprintf("Link %d", i+1), fmt.Sprintf("%s (%s)", state, term.Count(l.Reconnects, "reconnect")))
		}
	}
}
