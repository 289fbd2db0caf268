package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/connect"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

type connectOptions struct {
	server, name, token, apiKey string
}

func (a *app) connectCommand() *cobra.Command {
	var o connectOptions
	cmd := &cobra.Command{Use: "connect", Short: "Connect a self-hosted server to the cloud", Args: cmdline.NoArgs,
		Long: `Connect a self-hosted server to the cloud.

The server issues a key, sealed so that only the cloud can open it; it must trust the cloud for that (ace org trust).
A server without a cloud secret is connected with a key that an admin made on it: ace connect --api-key -`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runConnect(cmd.Context(), o) }}
	f := cmd.Flags()
	f.StringVar(&o.server, "server", string(bridge.DefaultServerURL), "the server's `URL`")
	f.StringVar(&o.name, "name", "", "the connection's name; the host by default")
	f.StringVar(&o.token, "token", "", "a cloud JWT to use in place of the session: `-` for stdin, file:PATH, or a literal")
	f.StringVar(&o.apiKey, "api-key", "", "register this API key of the server: `-` for stdin, file:PATH, or a literal")
	return cmd
}

func (a *app) runConnect(ctx context.Context, o connectOptions) error {
	server, err := serverURL(o.server)
	if err != nil {
		return err
	}
	if o.token != "" && o.apiKey != "" {
		return term.Usage("--token and --api-key are two ways to connect; take one")
	}
	cfg := a.connecting(server, o.name)
	if err := a.connectAs(ctx, o, &cfg); err != nil {
		return err
	}
	flow := connect.New(cfg)
	var connection api.Connection
	if o.apiKey != "" {
		key, err := a.Term.SecretFlag("--api-key", o.apiKey)
		if err != nil {
			return err
		}
		connection, err = flow.RunWithKey(ctx, key)
		if err != nil && connection.ID != "" { // it is kept
			return term.Explain(err).WithHint("ace connections check %s, or ace disconnect %s, which also revokes the key",
				term.Argument(connection.Name), term.Argument(connection.Name))
		}
		if err != nil {
			return err
		}
	} else if connection, err = flow.Run(ctx); err != nil {
		return err
	}
	return a.Term.Print(connection, func(w io.Writer) { _, _ = fmt.Fprintln(w, connectedLine(connection)) })
}

// The states of a connection.
const (
	statusOnline       = "online"
	statusOffline      = "offline"
	statusUnauthorized = "unauthorized"
)

// connectedLine says what was connected, and how it looks from the cloud where that is not online.
func connectedLine(c api.Connection) string {
	line := fmt.Sprintf("Connected %s as %s", c.ServerURL, bridge.Printable(c.Name))
	if c.Status != statusOnline && c.Cause != "" {
		line += fmt.Sprintf("\nSeen from the cloud it is %s: %s", c.Status, bridge.Printable(c.Cause))
	}
	return line
}

func serverURL(flag string) (bridge.ServerURL, error) {
	u, err := bridge.CanonicalURL(flag)
	if err != nil {
		e := term.Explain(err)
		return "", term.Usage("--server: %s", e.Detail).WithHint("%s", e.Hint)
	}
	return u, nil
}

// connecting is a connect of a server, told on this terminal.
func (a *app) connecting(server bridge.ServerURL, name string) connect.Config {
	return connect.Config{Server: server, Name: name, Client: a.Profiles.ClientConfig(), Note: a.noteLine,
		Waiting: func(d time.Duration, why string) func() {
			if a.Term.Screen() {
				return a.Term.Working("Waiting %s: %s …", d, why)
			}
			a.Term.Note("Waiting %s: %s …", d, bridge.Printable(why))
			return func() {}
		}}
}

func (a *app) noteLine(line string) { a.Term.Note("%s", bridge.Printable(line)) }

// connectAs chooses what to speak to the cloud with: --token, or what every command uses. A token that is a connect
// token already serves at the server only, so that the session is needed beside it.
func (a *app) connectAs(ctx context.Context, o connectOptions, cfg *connect.Config) error {
	var token bridge.Secret
	if o.token != "" {
		var err error
		if token, err = a.Term.SecretFlag("--token", o.token); err != nil {
			return err
		}
	}
	if token.IsZero() || bridge.TokenType(token) == bridge.TypeConnect {
		l, cloud, err := a.Profiles.LoggedIn(ctx)
		if err == nil {
			cfg.Cloud, cfg.Issuer, cfg.ConnectToken = cloud, issuerOf(l.Bearer, l.Cloud), token
		}
		return err
	}
	_, sel, err := a.Profiles.Selected()
	if err != nil {
		return err
	}
	if iss := profile.Peek(token).Issuer; iss != "" && !bridge.ServerURL(iss).Same(sel.Cloud) {
		return bridge.E(bridge.Unauthenticated, bridge.CodeTokenOtherCloud, "the token is from %s, not from %s", bridge.Printable(iss),
			sel.Cloud).
			WithHint("if you trust that cloud: ace connect --env %s --token …", bridge.Printable(iss))
	}
	cfg.Cloud = a.Profiles.CloudOf(&profile.Login{Selection: sel, Bearer: token, Source: "--token"})
	cfg.Issuer = issuerOf(token, sel.Cloud)
	return nil
}

// issuerOf is the cloud's own name for itself, which differs from the address where a proxy stands in between.
func issuerOf(token bridge.Secret, cloud bridge.ServerURL) bridge.ServerURL {
	if iss := profile.Peek(token).Issuer; iss != "" {
		return bridge.ServerURL(iss)
	}
	return cloud
}

// connectLocal is what `ace login` does at its end: it connects the server on this machine, if there is one that trusts
// the cloud. Whatever comes of it is told, and is no failure of the login.
func (a *app) connectLocal(ctx context.Context, l *profile.Login, me api.Me) *api.Connection {
	url := bridge.DefaultServerURL
	cfg := a.connecting(url, "")
	cfg.Cloud, cfg.Issuer = a.Profiles.CloudOf(l), issuerOf(l.Bearer, l.Cloud)
	quick := cfg
	quick.Client.Timeout = localTimeout
	look := connect.New(quick)
	if err := look.Discover(ctx); err != nil {
		if bridge.AsError(err).Kind == bridge.Unreachable {
			a.Term.Note("No server listens on %s. Connect one with: ace connect --server URL", url)
			return nil
		}
		a.notConnected(url, err)
		return nil
	}
	if err := look.CheckTrust(me); err != nil {
		a.notConnected(url, err)
		return nil
	}
	if already := look.Already(ctx); already != nil {
		a.Term.Note("The server on %s is connected already, as %s.", url, bridge.Printable(already.Name))
		return already
	}
	connection, err := connect.New(cfg).Run(ctx)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			a.notConnected(url, err)
		}
		return nil
	}
	return &connection
}

const localTimeout = 2 * time.Second

func (a *app) notConnected(url bridge.ServerURL, err error) {
	a.Term.Note("The server on %s was not connected: %s", url, term.PrintableLines(term.Explain(err).Detail))
	if hint := term.Explain(err).Hint; hint != "" {
		a.Term.Note("  fix: %s", term.PrintableLines(hint))
	}
}
