package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/acebridge/ace/bridge/apiclient"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
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

// connecting is one connect under way.
type connecting struct {
	a      *app
	cloud  *apiclient.Cloud
	server *apiclient.Server
	url    bridge.ServerURL
	name   string
	issuer bridge.ServerURL // who the cloud says it is: the issuer of the session token

	// connectToken is set when a connect token was given on the spot.
	connectToken bridge.Secret
	found        api.Discovery
	clock        clock
	keyID        string // of the key that this connect has registered

	patience time.Duration // that is left for waiting at limits
	// pause waits; nil: time passes. Tests set it.
	pause func(ctx context.Context, d time.Duration) error
}

// clock is what the server's clock said between two looks at ours.
type clock struct {
	server time.Time
	apart  time.Duration // positive: the server is ahead
}

func (a *app) runConnect(ctx context.Context, o connectOptions) error {
	server, err := serverURL(o.server)
	if err != nil {
		return err
	}
	if o.token != "" && o.apiKey != "" {
		return term.Usage("--token and --api-key are two ways to connect; take one")
	}
	c := &connecting{a: a, url: server, name: o.name, server: apiclient.NewServer(server, bridge.Secret{}, a.Profiles.ClientConfig())}
	if err := c.credentials(ctx, o); err != nil {
		return err
	}
	var connection api.Connection
	if o.apiKey != "" {
		key, err := a.Term.SecretFlag("--api-key", o.apiKey)
		if err != nil {
			return err
		}
		connection, err = c.manual(ctx, key)
		if err != nil {
			return err
		}
	} else if connection, err = c.run(ctx); err != nil {
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
	line := fmt.Sprintf("Connected %s as %s", c.ServerURL, term.Printable(c.Name))
	if c.Status != statusOnline && c.Cause != "" {
		line += fmt.Sprintf("\nSeen from the cloud it is %s: %s", c.Status, term.Printable(c.Cause))
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

// credentials chooses what to speak to the cloud with: --token, or what every command uses. A token that is a connect
// token already serves at the server only, so that the session is needed beside it.
func (c *connecting) credentials(ctx context.Context, o connectOptions) error {
	if o.token == "" {
		return c.loggedIn(ctx)
	}
	token, err := c.a.Term.SecretFlag("--token", o.token)
	if err != nil {
		return err
	}
	if bridge.TokenType(token) == bridge.TypeConnect {
		c.connectToken = token
		return c.loggedIn(ctx)
	}
	_, sel, err := c.a.Profiles.Selected()
	if err != nil {
		return err
	}
	if iss := profile.Peek(token).Issuer; iss != "" && !bridge.ServerURL(iss).Same(sel.Cloud) {
		return bridge.E(bridge.Unauthenticated, "token_other_cloud", "the token is from %s, not from %s", term.Printable(iss), sel.Cloud).
			WithHint("if you trust that cloud: ace connect --env %s --token …", term.Printable(iss))
	}
	c.cloud, c.issuer = c.a.Profiles.CloudOf(&profile.Login{Selection: sel, Bearer: token, Source: "--token"}), issuerOf(token, sel.Cloud)
	return nil
}

func (c *connecting) loggedIn(ctx context.Context) error {
	l, cloud, err := c.a.Profiles.LoggedIn(ctx)
	if err == nil {
		c.cloud, c.issuer = cloud, issuerOf(l.Bearer, l.Cloud)
	}
	return err
}

// issuerOf is the cloud's own name for itself, which differs from the address where a proxy stands in between.
func issuerOf(token bridge.Secret, cloud bridge.ServerURL) bridge.ServerURL {
	if iss := profile.Peek(token).Issuer; iss != "" {
		return bridge.ServerURL(iss)
	}
	return cloud
}

// manual registers a key that an admin made on the server.
func (c *connecting) manual(ctx context.Context, key bridge.Secret) (api.Connection, error) {
	c.patience = connectPatience
	if _, err := c.cloud.Me(ctx); err != nil {
		return api.Connection{}, err
	}
	err := c.discover(ctx)
	isAce := err == nil
	switch {
	case isAce:
		me, err := c.server.As(key).Me(ctx)
		if err != nil {
			return api.Connection{}, c.explainKey(err)
		}
		c.keyID = me.KeyID
	case bridge.CodeOf(err) == "not_ace":
		c.a.Term.Note("What answers at %s is not an ace server, so the key is registered untested and used as it is.", c.url)
	default:
		return api.Connection{}, err
	}
	before, err := c.own(ctx)
	if err != nil {
		return api.Connection{}, err
	}
	disclosed := key.Disclose()
	connection, err := c.cloud.Register(ctx, api.RegisterRequest{ServerURL: string(c.url), Name: c.name, APIKey: &disclosed})
	if err != nil || !isAce {
		return connection, err
	}
	existed := before != nil && before.ID == connection.ID
	// The cloud learns from the server whom the key speaks for, where it reaches it, and signs in that name.
	if _, err := c.cloud.Check(ctx, connection.ID); err != nil {
		return connection, unusedManual(connection, existed, err)
	}
	if err := c.firstUse(ctx, connection, c.keyID); err != nil {
		return connection, unusedManual(connection, existed, err)
	}
	if now, err := c.cloud.Check(ctx, connection.ID); err == nil {
		connection = now
	}
	return connection, nil
}

// unusedManual leaves the connection: removing it would revoke the key, which the admin had before.
func unusedManual(connection api.Connection, existed bool, cause error) error {
	verb := "registered"
	if existed {
		verb = "kept"
	}
	e := term.Explain(cause)
	return bridge.E(e.Kind, e.Code, "the connection %s is %s, but its first use failed: %s", connection.Name, verb, e.Detail).
		WithHint("ace connections check %s, or ace disconnect %s, which also revokes the key", term.Argument(connection.Name), term.Argument(connection.Name))
}

// connectLocal is what `ace login` does at its end: it connects the server on this machine, if there is one that trusts
// the cloud. Whatever comes of it is told, and is no failure of the login.
func (a *app) connectLocal(ctx context.Context, l *profile.Login, me api.Me) *api.Connection {
	cfg := a.Profiles.ClientConfig()
	cfg.Timeout = localTimeout
	url := bridge.DefaultServerURL
	c := &connecting{a: a, url: url, cloud: a.Profiles.CloudOf(l), issuer: issuerOf(l.Bearer, l.Cloud),
		server: apiclient.NewServer(url, bridge.Secret{}, cfg)}
	if err := c.discover(ctx); err != nil {
		if bridge.AsError(err).Kind == bridge.Unreachable {
			a.Term.Note("No server listens on %s. Connect one with: ace connect --server URL", url)
			return nil
		}
		a.notConnected(url, err)
		return nil
	}
	if err := c.checkTrust(me); err != nil {
		a.notConnected(url, err)
		return nil
	}
	if already := c.already(ctx); already != nil {
		a.Term.Note("The server on %s is connected already, as %s.", url, term.Printable(already.Name))
		return already
	}
	c.server = apiclient.NewServer(url, bridge.Secret{}, a.Profiles.ClientConfig())
	connection, err := c.run(ctx)
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

// already is the caller's own connection of this server, if it works.
func (c *connecting) already(ctx context.Context) *api.Connection {
	connections, err := c.cloud.Connections(ctx)
	if err != nil {
		return nil
	}
	for _, connection := range connections {
		if connection.Mine && connection.ServerURL.Same(c.url) && c.firstUse(ctx, connection, "") == nil {
			return &connection
		}
	}
	return nil
}
