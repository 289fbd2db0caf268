package connections

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/connect"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/connector"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

type connectOptions struct {
	server, name, token, apiKey string
}

func (g *Group) connectCommand() *cobra.Command {
	var o connectOptions
	cmd := &cobra.Command{Use: "connect", Short: "Connect a self-hosted server to the cloud", Args: cmdline.NoArgs,
		Long: `Connect a self-hosted server to the cloud.

The server must trust the cloud (ace org trust). It issues an API key, sealed so that only the cloud can open it.

If the server has no cloud secret, register a key that an admin made on it: ace connect --api-key -`,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.runConnect(cmd.Context(), o) }}
	f := cmd.Flags()
	f.StringVar(&o.server, "server", string(bridge.DefaultServerURL), "the server's `URL`")
	f.StringVar(&o.name, "name", "", "name of the connection; by default the server's host")
	f.StringVar(&o.token, "token", "", "use this cloud `JWT` instead of the session (literal, - for stdin, or file:PATH)")
	f.StringVar(&o.apiKey, "api-key", "", "register this API `KEY`, made on the server (literal, - for stdin, or file:PATH)")
	return cmd
}

func (g *Group) runConnect(ctx context.Context, o connectOptions) error {
	server, err := cmdline.ServerURL(o.server)
	if err != nil {
		return err
	}
	if o.token != "" && o.apiKey != "" {
		return term.Usage("use either --token or --api-key, not both")
	}
	cfg := g.Connector.Config(server, o.name)
	if err := g.connectAs(ctx, o, &cfg); err != nil {
		return err
	}
	flow := connect.New(cfg)
	var connection api.Connection
	if o.apiKey != "" {
		key, err := g.Term.SecretFlag("--api-key", o.apiKey)
		if err != nil {
			return err
		}
		connection, err = flow.RunWithKey(ctx, key)
		if err != nil && connection.ID != "" { // registered, and kept
			return term.Explain(err).WithHint("ace connections check %s; or remove it and revoke the key: ace disconnect %s",
				term.Argument(connection.Name), term.Argument(connection.Name))
		}
		if err != nil {
			return err
		}
	} else if connection, err = flow.Run(ctx); err != nil {
		return err
	}
	return g.Term.Print(connection, func(w io.Writer) { _, _ = fmt.Fprintln(w, connector.Connected(connection)) })
}

// connectAs chooses the credential for the cloud: --token, or the usual one. A connect token works at the server only, so the
// cloud needs the session as well.
func (g *Group) connectAs(ctx context.Context, o connectOptions, cfg *connect.Config) error {
	var token bridge.Secret
	if o.token != "" {
		var err error
		if token, err = g.Term.SecretFlag("--token", o.token); err != nil {
			return err
		}
	}
	if token.IsZero() || bridge.TokenType(token) == bridge.TypeConnect {
		l, cloud, err := g.Profiles.LoggedIn(ctx)
		if err == nil {
			cfg.Cloud, cfg.Issuer, cfg.ConnectToken = cloud, connector.Issuer(l.Bearer, l.Cloud), token
		}
		return err
	}
	_, sel, err := g.Profiles.Selected()
	if err != nil {
		return err
	}
	if iss := profile.Peek(token).Issuer; iss != "" && !bridge.ServerURL(iss).Same(sel.Cloud) {
		return bridge.E(bridge.Unauthenticated, bridge.CodeTokenOtherCloud, "the token is from %s, not from %s", bridge.Printable(iss),
			sel.Cloud).
			WithHint("if you trust that cloud: ace connect --env %s --token …", bridge.Printable(iss))
	}
	cfg.Cloud = g.Profiles.CloudOf(&profile.Login{Selection: sel, Bearer: token, Source: "--token"})
	cfg.Issuer = connector.Issuer(token, sel.Cloud)
	return nil
}
