package run

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

type restoreResult struct {
	Found       int64         `json:"found"`
	Known       int64         `json:"known"`
	Now         int64         `json:"now"`
	Unconfirmed int64         `json:"unconfirmed_keys"`
	Keys        []restoredKey `json:"keys"`
}

type restoredKey struct {
	ID     string `json:"key_id"`
	Name   string `json:"name"`
	Owner  string `json:"owner"`
	Status string `json:"status"`
	Revoke string `json:"revoke"`
	Keep   string `json:"keep"`
}

// ownDatabase is the database that this environment configures.
type ownDatabase struct {
	db    *sqldb.DB
	dir   string      // where it keeps its mark; empty: nowhere
	actor audit.Actor // who the audit log names
}

// restoreCommand is `restore` of a server or a cloud. open opens its database.
func (runner *Runner) restoreCommand(role string, open func(context.Context) (ownDatabase, error), also ...keys.Settle) *cobra.Command {
	var accept bool
	var choice keys.RestoreChoice
	cmd := &cobra.Command{Use: "restore", Args: cmdline.NoArgs,
		Short: "Accept a database that has lost changes, such as a restored backup",
		Long: `Accept a database that has lost changes, such as a restored backup (error database_behind).

Revocations made since the backup are lost. To make up for that, connect tokens and access tokens from before now are refused, a
connection's key dies unless it is used within a day, and keys that people made are listed for you to decide on, each with the
command to revoke it.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !accept {
				return term.Usage("%s needs --accept: revocations made since the backup are lost", cmd.CommandPath())
			}
			own, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = own.db.Close() }()
			r, err := acceptRestore(cmd.Context(), own, role, choice, slog.New(slog.NewTextHandler(runner.Term.Err, nil)), also...)
			if err != nil {
				return err
			}
			return runner.Term.Print(r, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "accepted: the database was at change %d, the last known change was %d, and it continues at %d\n", r.Found, r.Known, r.Now)
				if role == "cloud" {
					_, _ = fmt.Fprintln(w, "everybody has to sign in again; invitations and mailed links are void")
					_, _ = fmt.Fprintln(w, "members, roles, passwords, second factors, connections and limits are as in the backup: "+
						"members removed since then are back (ace org members)")
				} else {
					_, _ = fmt.Fprintf(w, "connection keys that die unless they are used within a day: %d\n", r.Unconfirmed)
				}
				if len(r.Keys) == 0 {
					return
				}
				_, _ = fmt.Fprintln(w, "keys that may have been revoked or replaced since; decide on each "+
					"(`ace api-key list` and the log at each start name those that are left):")
				term.Row(w, "KEY", "NAME", "OWNER", "STATUS", "TO END IT", "TO KEEP IT")
				for _, k := range r.Keys {
					term.Row(w, k.ID, k.Name, k.Owner, k.Status, k.Revoke, k.Keep)
				}
			})
		}}
	cmd.Flags().BoolVar(&accept, "accept", false, "accept the database although revocations made since the backup are lost")
	cmd.Flags().BoolVar(&choice.DisableKeys, "disable-keys", false, "disable all keys that people made, until each is enabled")
	return cmd
}

func acceptRestore(ctx context.Context, own ownDatabase, role string, choice keys.RestoreChoice, log *slog.Logger, also ...keys.Settle) (restoreResult, error) {
	if err := keys.Migrate(ctx, own.db); err != nil {
		return restoreResult{}, err
	}
	kept, err := mark.Open(mark.Place{Dir: own.dir, Role: role}, log)
	if err != nil {
		return restoreResult{}, err
	}
	defer func() { _ = kept.Close() }()
	choice.Known = kept.Number()
	now := time.Now()
	done, err := keys.AcceptRestore(ctx, own.db, now, choice, own.actor, also...)
	if err != nil {
		return restoreResult{}, err
	}
	r := restoreResult{Found: done.Found, Known: done.Known, Now: done.Now, Unconfirmed: done.Unconfirmed, Keys: []restoredKey{}}
	where := ""
	if role == "cloud" {
		where = " --cloud"
	}
	for _, k := range done.Keys {
		key := restoredKey{ID: k.ID.String(), Name: k.Name, Owner: k.Owner, Status: k.Status(now),
			Revoke: "ace api-key revoke" + where + " " + k.ID.String(), Keep: "ace api-key enable" + where + " " + k.ID.String()}
		r.Keys = append(r.Keys, key)
	}
	return r, kept.Advance(done.Now)
}

func (runner *Runner) serverRestoreCommand() *cobra.Command {
	return runner.restoreCommand("server", openServerDatabase)
}

func (runner *Runner) cloudRestoreCommand() *cobra.Command {
	return runner.restoreCommand("cloud", openCloudDatabase, registry.SettleRestored)
}
