package run

import (
	"context"
	"io"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/preview"
	"github.com/acebridge/ace/cmd/ace/internal/term"
	"github.com/acebridge/ace/cmd/ace/internal/unit"
)

// uninstalled is what `ace server uninstall` prints.
type uninstalled struct {
	UnitPath string   `json:"unit_path"`
	Removed  []string `json:"removed"`
	DataDir  string   `json:"data_dir"` // kept; empty: nothing was installed
}

const uninstallLong = `Stop the server that "ace server install" runs, and remove its unit, its settings and the secrets next to them.

The data directory stays, with the database and the keys of the server. To end its connection as well, run "ace server leave" first.`

// uninstallCommand is `ace server uninstall`.
func (runner installing) uninstallCommand() *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{Use: "uninstall", Short: "Stop the installed server and remove its unit; its data stays", Long: uninstallLong, Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runner.runUninstall(cmd.Context(), o) }}
	o.scopeFlags(cmd)
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

// maxStop is how long a server may take to stop beyond what systemctl needs.
const maxStop = maxDrain + time.Minute

func (runner installing) runUninstall(ctx context.Context, o installOptions) error {
	path, err := o.scope()
	if err != nil {
		return err
	}
	now, err := unit.Find(path)
	if err != nil {
		return err
	}
	r := uninstalled{UnitPath: path, Removed: []string{}}
	if now == nil {
		return runner.Term.Print(r, func(w io.Writer) { term.Row(w, "Nothing is installed: there is no "+path) })
	}
	if err := preview.RequireYes(runner.Term, o.yes, "ace server uninstall",
		"Stop the server and remove its unit, settings and secrets? The data in %s stays.", now.DataDir); err != nil {
		return err
	}
	systemctl := o.systemctl()
	runs := systemctl.Runs()
	if runs {
		err = systemctl.Call(ctx, maxStop, "disable", "--now", unit.Name)
	} else if _, missing := exec.LookPath("systemctl"); missing == nil {
		err = systemctl.Call(ctx, 0, "disable", unit.Name) // of files alone
	}
	if err != nil {
		return err
	}
	if r.Removed, err = now.Remove(path); err != nil {
		return err
	}
	r.DataDir = now.DataDir
	if runs {
		if err := systemctl.Call(ctx, 0, "daemon-reload"); err != nil {
			return err
		}
	}
	return runner.Term.Print(r, func(w io.Writer) {
		for _, name := range r.Removed {
			term.Row(w, "Removed", name)
		}
		term.Row(w, "Kept", r.DataDir)
	})
}
