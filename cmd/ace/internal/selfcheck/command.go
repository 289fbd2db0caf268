package selfcheck

import (
	"context"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/doctor"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/report"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Group builds the command. Its fields are everything it may use.
type Group struct {
	Term     *term.Terminal          // required
	Reporter *report.Reporter        // required
	Settings func() (Machine, error) // reads the settings; required
}

const long = `Check the server on its own machine: its settings, data directory and database, the running server, the cloud it trusts and the way
to it, its links, and the app behind it. Every fault has a code, one cause and one fix.

It reads the environment that the server has, and works whether the server runs or not; what only a running one knows is skipped then.
It changes nothing. Exit codes: 0 no fault, 1 a fault. ace doctor looks from the other end.

--bundle packs the report, the running server's state and its last log lines, and the settings that are not secret, into a zip file
for support. The file is for its owner only and does not replace another one; keys, tokens and passwords are removed from it.`

// Command returns `ace server doctor`.
func (g *Group) Command() *cobra.Command {
	var bundle string
	cmd := &cobra.Command{Use: "doctor", Short: "Find out what is wrong with this server, its links and its app", Long: long, Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.run(cmd.Context(), bundle) }}
	cmd.Flags().StringVar(&bundle, "bundle", "", "also pack what was found into this zip `FILE`, without secrets")
	return cmd
}

func (g *Group) run(ctx context.Context, bundle string) error {
	if err := g.Reporter.CheckFile(bundle); err != nil {
		return err
	}
	d := &Doctor{Proxies: doctor.ReadProxies(os.Getenv), Agent: "ace/" + g.Reporter.Version, Settings: g.Settings}
	done := g.Term.Working("Checking …")
	r, status := d.Run(ctx, doctor.Limit)
	done()
	if err := ctx.Err(); err != nil {
		return err
	}
	if bundle != "" {
		b := report.Bundle{Command: "ace server doctor", Report: r, Secrets: append(d.machine.Secrets, keptSecrets(d.machine.DataDir)...)}
		if status != nil {
			b.More = map[string]any{"server.json": status}
			b.Log = lastLines(ctx, d.machine)
		}
		if err := g.Reporter.Write(bundle, b); err != nil {
			return err
		}
	}
	return g.Reporter.Show(r)
}

// lastLines returns the last lines of the running server's log. An older server tells none.
func lastLines(ctx context.Context, m Machine) []string {
	log, err := m.Operator.Log(ctx)
	if err != nil {
		return []string{"the server does not tell its log: " + bridge.AsError(err).Detail}
	}
	return log.Lines
}

// keptSecrets are those that the server has made itself.
func keptSecrets(dir string) []string {
	if dir == "" {
		return nil
	}
	text, err := files.ReadSmallFile(filepath.Join(dir, "jwt-secret"))
	if err != nil {
		return nil
	}
	return []string{text}
}
