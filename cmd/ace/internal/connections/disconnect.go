package connections

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/connect"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/preview"
	"github.com/acebridge/ace/cmd/ace/internal/target"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func (g *Group) disconnectCommand() *cobra.Command {
	var all, yes bool
	cmd := &cobra.Command{Use: "disconnect [NAME|URL|ID]", Short: "Remove a connection and revoke its key on the server",
		Args: cmdline.SomeArgs(0, 1, "connection"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && len(args) > 0 {
				return term.Usage("use either --all or %q, not both", args[0])
			}
			return g.runDisconnect(cmd.Context(), args, all, yes)
		}}
	cmd.Flags().BoolVar(&all, "all", false, "remove all your connections")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (g *Group) runDisconnect(ctx context.Context, args []string, all, yes bool) error {
	_, cloud, err := g.Profiles.LoggedIn(ctx)
	if err != nil {
		return err
	}
	connections, err := cloud.Connections(ctx)
	if err != nil {
		return err
	}
	chosen, ask, err := g.toRemove(connections, args, all, yes)
	if err != nil {
		return err
	}
	if err := g.agreeToRemove(ctx, cloud, chosen, ask, yes); err != nil {
		return err
	}
	result := api.List[connect.Removal]{Items: []connect.Removal{}}
	var failed []error
	for _, connection := range chosen {
		r, err := g.remove(ctx, cloud, connection)
		if err != nil {
			failed = append(failed, err)
			if len(chosen) > 1 {
				g.Term.Note("%s: %s", bridge.Printable(connection.Name), term.Explain(err).Detail)
			}
			continue
		}
		result.Items = append(result.Items, r)
	}
	if len(result.Items) > 0 || len(chosen) == 0 {
		if err := g.Term.Print(result, func(w io.Writer) {
			for _, r := range result.Items {
				_, _ = fmt.Fprintln(w, bridge.Printable(sentence(r)))
			}
		}); err != nil {
			return err
		}
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return errors.Join(failed...)
}

// sentence says what became of a connection.
func sentence(r connect.Removal) string {
	name := fmt.Sprintf("Disconnected %s (%s)", r.Connection.Name, r.Connection.ServerURL)
	switch r.Revocation {
	case connect.RevocationDelivered:
		return name + "; its key is revoked on the server"
	case connect.RevocationPending:
		return name + "; the server cannot be reached, so the key is still valid there until the cloud delivers its revocation (" + r.Cause + ")"
	}
	return name + "; ace cannot revoke its key: remove the key on the server"
}

// toRemove chooses one connection, or all of the caller's own. At a terminal one can be picked. It also reports whether to ask
// even if nothing else ends.
func (g *Group) toRemove(connections []api.Connection, args []string, all, yes bool) (chosen []api.Connection, ask bool, err error) {
	if len(args) == 1 {
		c, err := target.Connection(connections, args[0])
		return []api.Connection{c}, false, err
	}
	var mine []api.Connection
	for _, c := range connections {
		if c.Mine {
			mine = append(mine, c)
		}
	}
	switch {
	case all && (len(mine) == 0 || yes):
		return mine, false, nil
	case all && !g.Term.Interactive():
		return nil, false, term.InputNeeded("disconnecting all your connections (%d) needs confirmation", len(mine)).WithHint("ace disconnect --all --yes")
	case all:
		return mine, true, nil
	case len(mine) == 0:
		return nil, false, bridge.E(bridge.NotFound, bridge.CodeConnectionNotFound,
			"you have no connections").WithHint("ace connect --server URL")
	case !g.Term.Interactive():
		var names []string
		for _, c := range mine {
			names = append(names, c.Name)
		}
		return nil, false, term.InputNeeded("which connection? You have: %s", strings.Join(names, ", ")).WithHint("ace disconnect %s", term.Argument(names[0]))
	}
	c, err := g.pickConnection(mine)
	return []api.Connection{c}, true, err
}

var errNothingDisconnected = bridge.E(bridge.Conflict, bridge.CodeCancelled, "nothing was disconnected")

// agreeToRemove prints what ends with the connections. At a terminal it asks if ask is set, or if more ends than the connections
// and their keys.
func (g *Group) agreeToRemove(ctx context.Context, cloud *apiclient.Cloud, chosen []api.Connection, ask, yes bool) error {
	all, err := preview.AskAll(ctx, len(chosen), func(ctx context.Context, i int) (preview.Effects, error) {
		c := chosen[i]
		return preview.Ask(ctx, func(ctx context.Context) (api.Ends, error) {
			return cloud.EndsOfConnection(ctx, c.ID, api.ConnectionPatch{})
		},
			func(e api.Ending) bool { return ofConnection(e, c) })
	})
	if err != nil {
		return err
	}
	all.Print(g.Term)
	if yes || !g.Term.Interactive() || !ask && !all.Any() {
		return nil
	}
	question := fmt.Sprintf("Disconnect all %d connections?", len(chosen))
	if len(chosen) == 1 {
		question = "Disconnect " + bridge.Printable(chosen[0].Name) + " and revoke its key?"
	}
	ok, err := g.Term.Confirm("%s", question)
	if err == nil && !ok {
		err = errNothingDisconnected
	}
	return err
}

// ofConnection reports whether e is part of the connection itself. Its key and its owner's tokens are.
func ofConnection(e api.Ending, c api.Connection) bool {
	return e.ID == c.ID || e.Kind == api.EndsConnectionKey || e.Kind == api.EndsAccessToken && c.Mine && e.Owner == c.Owner
}

func (g *Group) pickConnection(connections []api.Connection) (api.Connection, error) {
	var lines []string
	for _, c := range connections {
		lines = append(lines, fmt.Sprintf("%s  %s  %s", c.Name, c.ServerURL, c.Status))
	}
	i, err := g.Term.Pick("Which connection do you want to disconnect?", lines)
	if errors.Is(err, term.ErrNothingChosen) {
		err = errNothingDisconnected
	}
	if err != nil {
		return api.Connection{}, err
	}
	return connections[i], nil
}

// remove deletes a connection. If the cloud cannot reach the server, it delivers the key's revocation from this machine.
func (g *Group) remove(ctx context.Context, cloud *apiclient.Cloud, connection api.Connection) (connect.Removal, error) {
	return connect.Remove(ctx, cloud, connection, connect.Removing{Client: g.Profiles.ClientConfig(), Note: g.Connector.Note})
}
