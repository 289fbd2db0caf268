package main

import (
	"cmp"
	"context"
	"io"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge/apiclient"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func (a *app) connectionsCommand() *cobra.Command {
	cmd := cmdline.Group(&cobra.Command{Use: "connections", Short: "The connections of your organization"})
	list := &cobra.Command{Use: "list", Short: "List the connections that you see", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runConnections(cmd.Context()) }}
	cmd.AddCommand(list,
		a.shareCommand(), a.unshareCommand(), a.sharingCommand(), a.limitCommand(), a.unlimitCommand(),
		a.checkCommand())
	return cmd
}

func (a *app) runConnections(ctx context.Context) error {
	_, cloud, err := a.Profiles.LoggedIn(ctx)
	if err != nil {
		return err
	}
	connections, err := cloud.Connections(ctx)
	if err != nil {
		return err
	}
	if len(connections) == 0 {
		a.Term.Note("No connections yet. Connect a server with: ace connect --server URL")
	}
	a.warnOfRotation(connections...)
	if err := a.warnOfUndelivered(ctx, cloud); err != nil {
		return err
	}
	return a.Term.Print(api.List[api.Connection]{Items: connections}, func(w io.Writer) {
		if len(connections) > 0 {
			connectionTable(w, connections)
		}
	})
}

func connectionTable(w io.Writer, connections []api.Connection) {
	term.Row(w, "NAME", "SERVER", "STATUS", "VISIBILITY", "OWNER", "LAST USED")
	for _, c := range connections {
		term.Row(w, c.Name, string(c.ServerURL), c.Status, c.Visibility, c.Owner, term.When(c.LastUsedAt))
	}
}

type onConnection func(ctx context.Context, cloud *apiclient.Cloud, c api.Connection) (api.Connection, error)

// oneConnection is a command that does one thing with one connection and prints it.
func (a *app) oneConnection(name, short string, do onConnection) *cobra.Command {
	return &cobra.Command{Use: name + " NAME|URL|ID", Short: short, Args: cmdline.SomeArgs(1, 1, "connection (NAME, URL or ID)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			cloud, c, err := a.namedConnection(ctx, args[0])
			if err != nil {
				return err
			}
			if c, err = do(ctx, cloud, c); err != nil {
				return err
			}
			return a.Term.Print(c, func(w io.Writer) { connectionTable(w, []api.Connection{c}) })
		}}
}

// namedConnection finds a connection that is named on the command line, and the cloud that it is at.
func (a *app) namedConnection(ctx context.Context, word string) (*apiclient.Cloud, api.Connection, error) {
	_, cloud, err := a.Profiles.LoggedIn(ctx)
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

const checkLong = `Probe a connection's server now.

Exit codes say what the cloud saw: 0 the server is online, 6 it is offline, 5 it refuses the connection's key. 0 as well where the cloud
cannot look (localhost, a private network): the status is "unknown" then, and why is said.`

func (a *app) checkCommand() *cobra.Command {
	var checked api.Connection
	cmd := a.oneConnection("check", "Probe a connection's server now", func(ctx context.Context, cloud *apiclient.Cloud, c api.Connection) (api.Connection, error) {
		var err error
		checked, err = a.check(ctx, cloud, c)
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

// notOnline is the failure of a check that found a server which does not serve.
func notOnline(c api.Connection) error {
	switch c.Status {
	case statusOffline:
		return bridge.E(bridge.Unreachable, bridge.CodeConnectionOffline, "%s is offline: %s", c.Name, c.Cause).
			WithHint("%s", cmp.Or(c.Hint, "check that the server runs, and that the cloud can reach it"))
	case statusUnauthorized:
		return bridge.E(bridge.Forbidden, bridge.CodeConnectionUnauthorized, "the server of %s does not take its key: %s", c.Name,
			c.Cause).
			WithHint("%s", cmp.Or(c.Hint, "ace connect --server "+string(c.ServerURL)))
	}
	return nil
}

func (a *app) check(ctx context.Context, cloud *apiclient.Cloud, c api.Connection) (api.Connection, error) {
	c, err := cloud.Check(ctx, c.ID)
	if err == nil && c.Cause != "" && notOnline(c) == nil {
		a.Term.Note("%s: %s", bridge.Printable(c.Name), bridge.Printable(c.Cause))
		if c.Hint != "" {
			a.Term.Note("  fix: %s", bridge.Printable(c.Hint))
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
		a.Term.Note("%s: its key%s could not be renewed: %s", bridge.Printable(c.Name), until, bridge.Printable(c.Rotation.Cause))
		a.Term.Note("  fix: %s", bridge.Printable(c.Rotation.Hint))
	}
}

// warnOfUndelivered lists revocations and withdrawals that servers have not taken yet. Older clouds do not report them.
func (a *app) warnOfUndelivered(ctx context.Context, cloud *apiclient.Cloud) error {
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
		a.Term.Note("not delivered to %s since %s: %s: %s", bridge.Printable(string(u.ServerURL)), u.Since.UTC().Format(time.RFC3339), bridge.Printable(what), bridge.Printable(u.Cause))
		a.Term.Note("  fix: %s", bridge.Printable(u.Hint))
	}
	return nil
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
		if bridge.SameName(c.Name, word) || urlErr == nil && c.ServerURL.Same(url) {
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
		return api.Connection{}, bridge.E(bridge.NotFound, bridge.CodeConnectionNotFound, "there is no connection %q%s",
			word, term.DidYouMean(word, names)).WithHint("ace connections list")
	case 1:
		return found[0], nil
	}
	var ids []string
	for _, c := range found {
		ids = append(ids, c.ID+" ("+c.Owner+")")
	}
	return api.Connection{}, term.Usage("%q means more than one connection; say which by ID: %s", word, strings.Join(ids, ", "))
}
