package connector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/connect"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Connector runs the connect flow on a terminal.
type Connector struct {
	Term     *term.Terminal    // required
	Profiles *profile.Profiles // required
}

// localTimeout is how long Local waits for each answer of the server.
const localTimeout = 2 * time.Second

// Config prepares to connect a server and reports progress on the terminal. The caller sets the cloud.
func (c *Connector) Config(server bridge.ServerURL, name string) connect.Config {
	return connect.Config{Server: server, Name: name, Client: c.Profiles.ClientConfig(), Note: c.Note,
		Waiting: func(d time.Duration, why string) func() {
			if c.Term.Screen() {
				return c.Term.Working("Waiting %s: %s …", d, why)
			}
			c.Term.Note("Waiting %s: %s …", d, bridge.Printable(why))
			return func() {}
		}}
}

// Note prints one line about the progress to stderr.
func (c *Connector) Note(line string) { c.Term.Note("%s", bridge.Printable(line)) }

// Local connects the server on this machine if it trusts the cloud. It notes the outcome, and returns nil if nothing is
// connected.
func (c *Connector) Local(ctx context.Context, l *profile.Login, me api.Me) *api.Connection {
	url := bridge.DefaultServerURL
	cfg := c.Config(url, "")
	cfg.Cloud, cfg.Issuer = c.Profiles.CloudOf(l), Issuer(l.Bearer, l.Cloud)
	quick := cfg
	quick.Client.Timeout = localTimeout
	look := connect.New(quick)
	if err := look.Discover(ctx); err != nil {
		if bridge.AsError(err).Kind == bridge.Unreachable {
			c.Term.Note("No server listens on %s. Connect one with: ace connect --server URL", url)
			return nil
		}
		c.notConnected(url, err)
		return nil
	}
	if err := look.CheckTrust(me); err != nil {
		c.notConnected(url, err)
		return nil
	}
	if already := look.Already(ctx); already != nil {
		c.Term.Note("The server on %s is already connected, as %s.", url, bridge.Printable(already.Name))
		return already
	}
	connection, err := connect.New(cfg).Run(ctx)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			c.notConnected(url, err)
		}
		return nil
	}
	return &connection
}

func (c *Connector) notConnected(url bridge.ServerURL, err error) {
	c.Term.Note("The server on %s was not connected: %s", url, term.PrintableLines(term.Explain(err).Detail))
	if hint := term.Explain(err).Hint; hint != "" {
		c.Term.Note("  fix: %s", term.PrintableLines(hint))
	}
}

// Connected says what was connected, and its status if not online.
func Connected(c api.Connection) string {
	line := fmt.Sprintf("Connected %s as %s", c.ServerURL, bridge.Printable(c.Name))
	if c.Status != "online" && c.Cause != "" {
		line += fmt.Sprintf("\nThe cloud sees it as %s: %s", c.Status, bridge.Printable(c.Cause))
	}
	return line
}

// Issuer returns the cloud's own name for itself. It differs from the address if a proxy stands in front of the cloud.
func Issuer(token bridge.Secret, cloud bridge.ServerURL) bridge.ServerURL {
	if iss := profile.Peek(token).Issuer; iss != "" {
		return bridge.ServerURL(iss)
	}
	return cloud
}
