package main

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

func (a *app) connectionsCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "connections", Short: "The connections of your organization"})
	list := &cobra.Command{Use: "list", Short: "List the connections that you see", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runConnections(cmd.Context()) }}
	cmd.AddCommand(list,
		a.shareCommand(), a.unshareCommand(), a.sharingCommand(), a.limitCommand(), a.unlimitCommand(),
		a.oneConnection("check", "Probe a connection's server now", a.check))
	return cmd
}

func (a *app) runConnections(ctx context.Context) error {
	_, cloud, err := a.loggedIn(ctx)
	if err != nil {
		return err
	}
	connections, err := cloud.Connections(ctx)
	if err != nil {
		return err
	}
	if len(connections) == 0 {
		a.note("No connections yet. Connect a server with: ace connect --server URL")
	}
	a.warnOfRotation(connections...)
	return a.print(api.List[api.Connection]{Items: connections}, func(w io.Writer) {
		if len(connections) > 0 {
			connectionTable(w, connections)
		}
	})
}

func connectionTable(w io.Writer, connections []api.Connection) {
	row(w, "NAME", "SERVER", "STATUS", "VISIBILITY", "OWNER", "LAST USED")
	for _, c := range connections {
		row(w, c.Name, string(c.ServerURL), c.Status, c.Visibility, c.Owner, when(c.LastUsedAt))
	}
}

type onConnection func(ctx context.Context, cloud *api.CloudClient, c api.Connection) (api.Connection, error)

// oneConnection is a command that does one thing with one connection and prints it.
func (a *app) oneConnection(name, short string, do onConnection) *cobra.Command {
	return &cobra.Command{Use: name + " NAME|URL|ID", Short: short, Args: someArgs(1, 1, "connection (NAME, URL or ID)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			cloud, c, err := a.namedConnection(ctx, args[0])
			if err != nil {
				return err
			}
			if c, err = do(ctx, cloud, c); err != nil {
				return err
			}
			return a.print(c, func(w io.Writer) { connectionTable(w, []api.Connection{c}) })
		}}
}

// namedConnection finds a connection that is named on the command line, and the cloud that it is at.
func (a *app) namedConnection(ctx context.Context, word string) (*api.CloudClient, api.Connection, error) {
	_, cloud, err := a.loggedIn(ctx)
	if err != nil {
		return nil, api.Connection{}, err
	}
	connections, err := cloud.Connections(ctx)
	if err != nil {
		return nil, api.Connection{}, err
	}
	c, err := findConnection(connections, word)
	return cloud, c, err
}

func (a *app) check(ctx context.Context, cloud *api.CloudClient, c api.Connection) (api.Connection, error) {
	c, err := cloud.Check(ctx, c.ID)
	if err == nil && c.Cause != "" {
		a.note("%s: %s", printable(c.Name), printable(c.Cause))
		if c.Hint != "" {
			a.note("  fix: %s", printable(c.Hint))
		}
	}
	a.warnOfRotation(c)
	return c, err
}

// warnOfRotation says of which connections the cloud could not renew the key, why, and what to do before it ends.
func (a *app) warnOfRotation(connections ...api.Connection) {
	for _, c := range connections {
		if c.Rotation == nil {
			continue
		}
		until := ""
		if c.ExpiresAt != nil {
			until = ", valid until " + c.ExpiresAt.UTC().Format(time.DateOnly) + ","
		}
		a.note("%s: its key%s could not be renewed: %s", printable(c.Name), until, printable(c.Rotation.Cause))
		a.note("  fix: %s", printable(c.Rotation.Hint))
	}
}

// findConnection finds a connection by ID, name or URL; the caller's own come before those that others share.
func findConnection(connections []api.Connection, word string) (api.Connection, error) {
	url, urlErr := bridge.CanonicalURL(word)
	var found []api.Connection
	var names []string
	for _, c := range connections {
		names = append(names, c.Name)
		if c.ID == word {
			return c, nil
		}
		if c.Name == word || urlErr == nil && c.ServerURL.Same(url) {
			found = append(found, c)
		}
	}
	if len(found) > 1 {
		var mine []api.Connection
		for _, c := range found {
			if c.Mine {
				mine = append(mine, c)
			}
		}
		if len(mine) == 1 {
			found = mine
		}
	}
	switch len(found) {
	case 0:
		return api.Connection{}, bridge.E(bridge.NotFound, "connection_not_found", "there is no connection %q%s",
			word, didYouMean(word, names)).WithHint("ace connections list")
	case 1:
		return found[0], nil
	}
	var ids []string
	for _, c := range found {
		ids = append(ids, c.ID+" ("+c.Owner+")")
	}
	return api.Connection{}, usage("%q means more than one connection; say which by ID: %s", word, strings.Join(ids, ", "))
}
