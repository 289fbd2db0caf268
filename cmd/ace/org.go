package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) orgCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "org", Short: "The organization"})
	cmd.AddCommand(&cobra.Command{Use: "trust", Short: "Print the variables that a server needs to trust this cloud (admins)",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return a.runTrust(cmd.Context()) }})
	return cmd
}

func (a *app) runTrust(ctx context.Context) error {
	_, cloud, err := a.loggedIn(ctx)
	if err != nil {
		return err
	}
	me, err := cloud.Me(ctx)
	if err != nil {
		return err
	}
	t, err := cloud.Trust(ctx, me.Org)
	if err != nil {
		return err
	}
	a.note("Set one of the two on a server of %s and restart it. The public key is the better one: it cannot sign.", me.Org)
	return a.print(t, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "ACE_CLOUD_PUBLIC_KEY=%s\n", printable(t.PublicKey))
		_, _ = fmt.Fprintf(w, "ACE_CLOUD_JWT_SECRET=%s\n", printable(t.JWTSecret.Reveal()))
	})
}
