package main

import (
	"context"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

const (
	methodExchange  = "exchange"  // of a connection: its key was made by a connect
	connectPatience = time.Minute // that a connect waits at limits, in all
	connectTries    = 5           // how often it begins anew when other connects come and go
)

// run is the whole flow: nothing is changed before the exchange; what dies after it leaves a key that dies unconfirmed.
// Of several connects at once, one registers its key, and the others find that connection and use it.
func (c *connecting) run(ctx context.Context) (api.Connection, error) {
	c.patience = connectPatience
	me, err := c.cloud.Me(ctx)
	if err != nil {
		return api.Connection{}, err
	}
	if err := c.discover(ctx); err != nil {
		return api.Connection{}, err
	}
	if err := c.checkTrust(me); err != nil {
		return api.Connection{}, err
	}
	before, err := c.own(ctx)
	if err != nil {
		return api.Connection{}, err
	}
	if before != nil && c.connectToken.IsZero() && fresh(*before, time.Now()) {
		if connection, err := c.useFound(ctx, *before); err == nil {
			return connection, nil
		}
	}
	for try := 1; ; try++ {
		connection, err := c.register(ctx, before)
		switch {
		case err == nil:
			return c.confirm(ctx, connection)
		case bridge.CodeOf(err) != api.CodeConnectionMoved:
			return api.Connection{}, err
		}
		found, foundErr := c.own(ctx)
		if foundErr != nil {
			return api.Connection{}, foundErr
		}
		if found != nil {
			connection, err = c.useFound(ctx, *found)
			if err == nil {
				return connection, nil
			}
		}
		if try == connectTries || !c.connectToken.IsZero() || !gone(err) {
			return api.Connection{}, err
		}
		before = found
	}
}

// justNow is how long a connect at the same time may have begun before this one. What a person types again later is meant
// to replace the key.
const justNow = 10 * time.Second

// fresh reports whether a connection has been given its key just now, by another connect.
func fresh(connection api.Connection, now time.Time) bool {
	return connection.Method == methodExchange && connection.ExpiresAt != nil &&
		now.Sub(connection.ExpiresAt.Add(-bridge.DefaultKeyLife)).Abs() < justNow
}

// gone reports whether a connection that was found has been taken back, or its key works no more.
func gone(err error) bool {
	switch bridge.CodeOf(err) {
	case api.CodeConnectionMoved, "connection_unknown", "key_refused":
		return true
	}
	return false
}

// own is the caller's own connection of this server, as the cloud lists it now; nil: there is none.
func (c *connecting) own(ctx context.Context) (*api.Connection, error) {
	var connections []api.Connection
	err := c.patiently(ctx, nil, func() (err error) {
		connections, err = c.cloud.Connections(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, connection := range connections {
		if connection.Mine && connection.ServerURL.Same(c.url) {
			return &connection, nil
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// register has the server issue a key and the cloud keep it, unless another connect has been faster since before was
// listed: then it answers [api.CodeConnectionMoved].
func (c *connecting) register(ctx context.Context, before *api.Connection) (api.Connection, error) {
	replaced := ""
	if before != nil {
		replaced = before.KeyID
	}
	// While this one waits, another connect may have come through.
	moved := func() error {
		now, err := c.own(ctx)
		if err == nil && now != nil && now.KeyID != replaced {
			return bridge.E(bridge.Conflict, api.CodeConnectionMoved, "another connect has registered this server").WithHint("ace connections list")
		}
		return nil
	}
	token := c.connectToken
	if token.IsZero() {
		err := c.patiently(ctx, moved, func() (err error) {
			token, err = c.cloud.ConnectToken(ctx, c.url, c.found.Exchange.KeyIDs)
			return err
		})
		if err != nil {
			return api.Connection{}, c.explainNarrowing(err)
		}
	}
	var key api.ExchangeAnswer
	err := c.patiently(ctx, moved, func() (err error) {
		key, err = c.server.Exchange(ctx, token, api.ExchangeRequest{Name: c.name})
		return err
	})
	if err != nil {
		return api.Connection{}, c.explainExchange(err)
	}
	if key.SealedKey == "" {
		return api.Connection{}, bridge.E(bridge.Invalid, "key_not_sealed", "the server did not seal its key for the cloud").
			WithHint("give no connect token that names no sealing key; the key dies by itself at %s", term.When(&key.ConfirmBy))
	}
	var connection api.Connection
	err = c.patiently(ctx, nil, func() (err error) {
		connection, err = c.cloud.Register(ctx, api.RegisterRequest{ServerURL: string(c.url), Name: c.name, SealedKey: key.SealedKey,
			IfKeyID: &replaced})
		return err
	})
	if err != nil && bridge.CodeOf(err) != api.CodeConnectionMoved {
		c.a.Term.Note("The server's key was not registered; unused, it dies by itself at %s.", key.ConfirmBy.Local().Format("15:04:05"))
	}
	c.keyID = key.KeyID
	return connection, err
}

// patiently does one step and waits at limits that are short, as long as the whole connect's patience lasts. meanwhile,
// where there is one, is asked after each wait and may end it.
func (c *connecting) patiently(ctx context.Context, meanwhile, step func() error) error {
	for {
		err := step()
		if err == nil {
			return nil
		}
		e := bridge.AsError(err)
		if e.Kind != bridge.TooMany || e.RetryAfter <= 0 || e.RetryAfter > c.patience {
			return err
		}
		c.patience -= e.RetryAfter
		if err := c.wait(ctx, e); err != nil {
			return err
		}
		if meanwhile != nil {
			if err := meanwhile(); err != nil {
				return err
			}
		}
	}
}

// wait waits as long as a limit says, and says so.
func (c *connecting) wait(ctx context.Context, limit *bridge.Error) error {
	if c.pause != nil {
		return c.pause(ctx, limit.RetryAfter)
	}
	if c.a.Term.Screen() {
		defer c.a.Term.Working("Waiting %s: %s …", limit.RetryAfter, limit.Detail)()
	} else {
		c.a.Term.Note("Waiting %s: %s …", limit.RetryAfter, term.Printable(limit.Detail))
	}
	timer := time.NewTimer(limit.RetryAfter)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// useFound makes the first use of a connection that another connect has registered; with that its key is confirmed, too.
func (c *connecting) useFound(ctx context.Context, connection api.Connection) (api.Connection, error) {
	var credential api.Credential
	err := c.patiently(ctx, nil, func() (err error) {
		credential, err = c.cloud.KeepCredential(ctx, connection.ID)
		return err
	})
	if err == nil {
		_, err = c.call(ctx, credential)
	}
	if err != nil {
		return connection, err
	}
	return c.checked(ctx, connection), nil
}

// checked is the connection as the cloud sees it after its first use.
func (c *connecting) checked(ctx context.Context, connection api.Connection) api.Connection {
	if now, err := c.cloud.Check(ctx, connection.ID); err == nil {
		return now
	}
	connection.Revision = ""
	return connection
}

// confirm makes the first use of the key, through the credential that the dashboard will use: it proves the whole path
// and keeps the key alive. Where that fails, it takes back what this connect has registered and nothing else: a key of
// another connect stays, and so does a connection that another one uses.
func (c *connecting) confirm(ctx context.Context, connection api.Connection) (api.Connection, error) {
	err := c.firstUse(ctx, connection, c.keyID)
	if err == nil {
		return c.checked(ctx, connection), nil
	}
	after, cancel := background(ctx)
	defer cancel()
	if now, nowErr := c.cloud.Connection(after, connection.ID); nowErr == nil && now.KeyID != c.keyID {
		if now, useErr := c.useFound(ctx, now); useErr == nil {
			return now, nil
		}
		c.a.Term.Note("The connection %s is kept: another connect has given it another key.", term.Printable(connection.Name))
		return connection, err
	}
	if connection.Revision == "" {
		c.a.Term.Note("The connection %s is kept, with a key that dies unused within %s; `ace connect` again completes it.",
			term.Printable(connection.Name), bridge.UnconfirmedLife)
		return connection, err
	}
	_, cleanErr := c.a.removeIf(after, c.cloud, connection, c.keyID)
	switch {
	case cleanErr == nil:
		c.a.Term.Note("The connection was removed again.")
	case bridge.CodeOf(cleanErr) == api.CodeConnectionMoved:
		c.a.Term.Note("The connection %s is kept: another connect uses it.", term.Printable(connection.Name))
	default:
		c.a.Term.Note("The connection %s could not be removed again (%s); its key dies unused within %s.",
			term.Printable(connection.Name), term.Explain(cleanErr).Detail, bridge.UnconfirmedLife)
	}
	return connection, err
}

// firstUse calls the server with the connection's credential. keyID, where it is not empty, is the key that it must be.
func (c *connecting) firstUse(ctx context.Context, connection api.Connection, keyID string) error {
	var credential api.Credential
	err := c.patiently(ctx, nil, func() (err error) {
		credential, err = c.cloud.Credential(ctx, connection.ID)
		return err
	})
	if err != nil {
		return err
	}
	usedID, err := c.call(ctx, credential)
	if err == nil && keyID != "" && usedID != keyID {
		return refused("key_other", "the server at %s took another key than the one it issued", c.url).
			WithHint("check that its URL leads to one server with one database, and connect again")
	}
	return err
}

// call calls the server with a credential of the connection, and returns the ID of the key that it saw.
func (c *connecting) call(ctx context.Context, credential api.Credential) (string, error) {
	var me api.Identity
	err := c.patiently(ctx, nil, func() (err error) {
		me, err = c.server.MeWith(ctx, credential)
		return err
	})
	if err != nil && bridge.AsError(err).Kind == bridge.Unauthenticated {
		return "", refused("key_refused", "the server at %s does not take the key that it issued: %s", c.url, term.Explain(err).Detail).
			WithHint("check that its URL leads to one server with one database, and connect again")
	}
	return me.KeyID, err
}
