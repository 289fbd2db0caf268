package connections

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/connector"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/target"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Group builds the commands about connections. Its fields are everything they may use.
type Group struct {
	Term      *term.Terminal       // required
	Profiles  *profile.Profiles    // required
	Target    *target.Finder       // required: finds connections and keys by what people call them
	Connector *connector.Connector // required: runs the connect flow
}

// Commands returns `ace connect`, `ace disconnect` and `ace connections`.
func (g *Group) Commands() []*cobra.Command {
	return []*cobra.Command{g.connectCommand(), g.disconnectCommand(), g.connectionsCommand()}
}

func (g *Group) connectionsCommand() *cobra.Command {
	cmd := cmdline.Group(&cobra.Command{Use: "connections", Short: "Manage the connections of your organization"})
	list := &cobra.Command{Use: "list", Short: "List the connections that you can see", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.runConnections(cmd.Context()) }}
	cmd.AddCommand(term.WithWide(list),
		g.shareCommand(), g.unshareCommand(), g.sharingCommand(), g.limitCommand(), g.unlimitCommand(),
		term.WithWide(g.checkCommand()))
	return cmd
}

func (g *Group) runConnections(ctx context.Context) error {
	_, cloud, err := g.Profiles.LoggedIn(ctx)
	if err != nil {
		return err
	}
	connections, err := cloud.Connections(ctx)
	if err != nil {
		return err
	}
	if len(connections) == 0 {
		g.Term.Note("No connections yet. Connect a server with: ace connect --server URL")
	}
	g.warnOfRotation(connections...)
	if err := g.warnOfUndelivered(ctx, cloud); err != nil {
		return err
	}
	return g.Term.Print(api.List[api.Connection]{Items: connections}, func(w io.Writer) {
		if len(connections) > 0 {
			g.tableOf(connections)(w)
		}
	})
}

// tableOf writes connections as a table, which is wide if asked.
func (g *Group) tableOf(connections []api.Connection) func(io.Writer) {
	return func(w io.Writer) {
		if g.Term.Wide {
			wideTable(w, connections)
			return
		}
		term.Row(w, "NAME", "SERVER", "STATUS", "VISIBILITY", "OWNER", "LAST USED")
		for _, c := range connections {
			term.Row(w, c.Name, string(c.ServerURL), c.Status, c.Visibility, c.Owner, term.When(c.LastUsedAt))
		}
	}
}

// wideTable also says how the cloud reaches each server, and why not.
func wideTable(w io.Writer, connections []api.Connection) {
	term.Row(w, "NAME", "SERVER", "STATUS", "CAUSE", "WAY", "SINCE", "ROUND TRIP", "RECONNECTS", "LINKS", "SERVERS", "VISIBILITY", "OWNER", "TAGS", "LAST USED")
	for _, c := range connections {
		var since, reconnects, links, servers string
		roundTrip := c.LatencyMS
		if l := c.Link; l != nil {
			since, reconnects = term.When(l.Since), fmt.Sprint(l.Reconnects)
			links, servers = fmt.Sprint(l.Links), fmt.Sprint(l.Servers)
			roundTrip = cmp.Or(l.RoundTrip, roundTrip)
		}
		trip := ""
		if roundTrip != nil {
			trip = fmt.Sprintf("%d ms", *roundTrip)
		}
		term.Row(w, c.Name, string(c.ServerURL), c.Status, string(c.CauseCode), c.Way, since, trip, reconnects, links, servers, c.Visibility, c.Owner,
			strings.Join(c.Tags, ", "), term.When(c.LastUsedAt))
	}
}

// onConnection does something to one connection and returns the result.
type onConnection func(ctx context.Context, cloud *apiclient.Cloud, c api.Connection) (api.Connection, error)

// oneConnection makes a command that does something to one connection.
func (g *Group) oneConnection(name, short string, do onConnection) *cobra.Command {
	return &cobra.Command{Use: name + " NAME|URL|ID", Short: short, Args: cmdline.SomeArgs(1, 1, "connection (NAME, URL or ID)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			cloud, c, err := g.Target.Connection(ctx, args[0])
			if err != nil {
				return err
			}
			if c, err = do(ctx, cloud, c); err != nil {
				return err
			}
			return g.Term.Print(c, g.tableOf([]api.Connection{c}))
		}}
}

const checkLong = `Probe a connection's server now.

A cause of trouble has a code, such as no_link, link_silent or app_down: docs/errors.md says what each means.

Exit codes: 0 the server is online, 6 it is offline, 5 it refuses the connection's key. If the cloud cannot reach the server's network
(localhost, a private network), the status is "unknown", the reason is printed, and the exit code is 0.`

func (g *Group) checkCommand() *cobra.Command {
	var checked api.Connection
	cmd := g.oneConnection("check", "Probe a connection's server now", func(ctx context.Context, cloud *apiclient.Cloud, c api.Connection) (api.Connection, error) {
		var err error
		checked, err = g.check(ctx, cloud, c)
		return checked, err
	})
	cmd.Long = checkLong
	show := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := show(cmd, args); err != nil {
			return err
		}
		return notOnline(checked)
	}
	return cmd
}

// The states of a connection that make a check fail.
const (
	statusOffline      = "offline"
	statusUnauthorized = "unauthorized"
)

// notOnline turns what a check found into the command's failure. It returns nil if the server is online or unknown.
func notOnline(c api.Connection) error {
	switch c.Status {
	case statusOffline:
		return bridge.E(bridge.Unreachable, bridge.CodeConnectionOffline, "%s is offline: %s", c.Name, cause(c)).
			WithHint("%s", cmp.Or(c.Hint, "check that the server is running and that the cloud can reach it"))
	case statusUnauthorized:
		return bridge.E(bridge.Forbidden, bridge.CodeConnectionUnauthorized, "the server of %s refuses the connection's key: %s", c.Name,
			cause(c)).
			WithHint("%s", cmp.Or(c.Hint, bridge.ConnectAgain(c.ServerURL)))
	}
	return nil
}

// cause is why a connection is not online, with its code where it has one.
func cause(c api.Connection) string {
	if c.CauseCode == "" {
		return c.Cause
	}
	return c.Cause + " (" + string(c.CauseCode) + ")"
}

// check probes a connection. It notes the cause of trouble, unless the command fails with it.
func (g *Group) check(ctx context.Context, cloud *apiclient.Cloud, c api.Connection) (api.Connection, error) {
	c, err := cloud.Check(ctx, c.ID)
	if err == nil && c.Cause != "" && notOnline(c) == nil {
		g.Term.Note("%s: %s", bridge.Printable(c.Name), bridge.Printable(cause(c)))
		if c.Hint != "" {
			g.Term.Note("  fix: %s", bridge.Printable(c.Hint))
		}
	}
	g.warnOfRotation(c)
	return c, err
}

// warnOfRotation names connections whose key the cloud could not renew.
func (g *Group) warnOfRotation(connections ...api.Connection) {
	for _, c := range connections {
		if c.Rotation == nil {
			continue
		}
		until := ""
		if c.ExpiresAt != nil {
			until = ", valid until " + c.ExpiresAt.UTC().Format(time.DateOnly) + ","
		}
		g.Term.Note("%s: its key%s could not be renewed: %s", bridge.Printable(c.Name), until, bridge.Printable(c.Rotation.Cause))
		g.Term.Note("  fix: %s", bridge.Printable(c.Rotation.Hint))
	}
}

// warnOfUndelivered lists revocations and withdrawals that servers have not taken yet. Older clouds have no such list.
func (g *Group) warnOfUndelivered(ctx context.Context, cloud *apiclient.Cloud) error {
	all, err := cloud.Undelivered(ctx)
	if err != nil {
		if k := bridge.AsError(err).Kind; k == bridge.NotFound || k == bridge.Forbidden {
			return nil
		}
		return err
	}
	for _, u := range all {
		what := "the revocation of key " + u.KeyID
		if u.Kind == api.StatementWithdrawal {
			what = "the withdrawal of " + strings.Join(u.Members, ", ")
		}
		g.Term.Note("%s has not reached %s since %s: %s", bridge.Printable(what), bridge.Printable(string(u.ServerURL)),
			u.Since.UTC().Format(time.RFC3339), bridge.Printable(u.Cause))
		g.Term.Note("  fix: %s", bridge.Printable(u.Hint))
	}
	return nil
}
