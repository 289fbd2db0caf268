package run

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
)

type clockResult struct {
	Was   time.Time `json:"was"`
	Now   time.Time `json:"now"`
	Ended int64     `json:"ended_keys"`
}

// acceptClockCommand is `accept-clock` of a server or a cloud. open opens its database.
func (runner *Runner) acceptClockCommand(what string, open func(context.Context) (ownDatabase, error), also ...keys.Cut) *cobra.Command {
	return &cobra.Command{Use: "accept-clock", Args: cmdline.NoArgs,
		Short: "Confirm that this machine's clock is right although the " + what + " has seen a later time",
		Long: `Confirm that this machine's clock is right although the ` + what + ` has seen a later time (error clock_behind).

Whatever had expired by the later time stays expired, and connect tokens from before now are refused. The ` + what + ` may be running or
stopped.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			own, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = own.db.Close() }()
			if err := keys.Migrate(cmd.Context(), own.db); err != nil {
				return err
			}
			done, err := keys.AcceptClock(cmd.Context(), own.db, time.Now(), own.actor, also...)
			if err != nil {
				return err
			}
			r := clockResult{done.Was, done.Now, done.Ended}
			return runner.Term.Print(r, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "the time is %s again; the latest time seen was %s\n", r.Now.Format(time.RFC3339), r.Was.Format(time.RFC3339))
				_, _ = fmt.Fprintf(w, "keys that expired in the meantime and stay expired: %d\n", r.Ended)
			})
		}}
}

// openServerDatabase opens the server's database, as the environment names it.
func openServerDatabase(ctx context.Context) (ownDatabase, error) {
	var e serverEnv
	if err := readEnv(&e); err != nil {
		return ownDatabase{}, err
	}
	cfg, _, err := e.config()
	if err != nil {
		return ownDatabase{}, err
	}
	own := ownDatabase{dir: cfg.DataDir, actor: operator()}
	if own.actor.Org = cfg.Trust.Org; own.actor.Org == "" {
		own.actor.Org = "local"
	}
	own.db, err = sqldb.Open(ctx, cfg.DatabaseURL)
	return own, err
}

// openCloudDatabase opens the cloud's database, as the environment names it.
func openCloudDatabase(ctx context.Context) (ownDatabase, error) {
	var e cloudEnv
	if err := readEnv(&e); err != nil {
		return ownDatabase{}, err
	}
	cfg, _, err := e.config()
	if err != nil {
		return ownDatabase{}, err
	}
	db, err := sqldb.Open(ctx, cfg.DatabaseURL)
	if err != nil {
		return ownDatabase{}, err
	}
	if err := schema.Migrate(ctx, db); err != nil {
		_ = db.Close()
		return ownDatabase{}, err
	}
	return ownDatabase{db, cfg.DataDir, operator()}, nil
}

func (runner *Runner) serverAcceptClockCommand() *cobra.Command {
	return runner.acceptClockCommand("server", openServerDatabase)
}

func (runner *Runner) cloudAcceptClockCommand() *cobra.Command {
	return runner.acceptClockCommand("cloud", openCloudDatabase, registry.CutExpiries)
}
