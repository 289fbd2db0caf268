package connect

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
)

const (
	methodExchange  = "exchange"       // of a connection: its key was made by a connect
	connectPatience = time.Minute      // that a connect waits at limits, in all
	cleanupTimeout  = 10 * time.Second // for what is still done after an interrupt
	connectTries    = 5                // how often it begins anew when other connects come and go
)

// Config is all that a connect may touch.
type Config struct {
	// Cloud is the cloud's client, with the credential of who connects; required.
	Cloud *apiclient.Cloud
	// Issuer is the cloud's own name for itself, which differs from its address where a proxy stands in between; empty: the address.
	Issuer bridge.ServerURL
	// Server is the server's URL, canonical; required.
	Server bridge.ServerURL
	// Client is how the server is called; the zero value does.
	Client api.ClientConfig
	// Name is the connection's name; empty: the server's host.
	Name string
	// ConnectToken is a connect token that was given on the spot; zero: the cloud is asked for one.
	ConnectToken bridge.Secret
	// Note is told what a person should know on the way, in one line each; nil: nobody. Text of servers is in it: clean it for a terminal.
	Note func(line string)
	// Waiting is told how long a limit makes the connect wait, and why; it returns what is called when the time is over. Nil: nobody.
	Waiting func(d time.Duration, why string) (done func())
}

// Flow is one connect under way. It is used once, by one goroutine.
type Flow struct {
	cloud   *apiclient.Cloud
	server  *apiclient.Server
	client  api.ClientConfig
	url     bridge.ServerURL
	name    string
	issuer  bridge.ServerURL
	told    func(line string)
	waiting func(d time.Duration, why string) (done func())

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

// New is a connect that has not begun.
func New(cfg Config) *Flow {
	return &Flow{cloud: cfg.Cloud, server: apiclient.NewServer(cfg.Server, bridge.Secret{}, cfg.Client), client: cfg.Client, url: cfg.Server,
		name: cfg.Name, issuer: cmp.Or(cfg.Issuer, cfg.Cloud.Base()), told: cfg.Note, waiting: cfg.Waiting, connectToken: cfg.ConnectToken}
}

func (f *Flow) note(format string, args ...any) {
	if f.told != nil {
		f.told(fmt.Sprintf(format, args...))
	}
}

// Run is the whole flow. It begins with questions only: nothing is changed before the exchange; what dies after it leaves a key that dies unconfirmed.
// Of several connects at once, one registers its key, and the others find that connection and use it.
func (f *Flow) Run(ctx context.Context) (api.Connection, error) {
	f.patience = connectPatience
	me, err := f.cloud.Me(ctx)
	if err != nil {
		return api.Connection{}, err
	}
	if err := f.Discover(ctx); err != nil {
		return api.Connection{}, err
	}
	if err := f.CheckTrust(me); err != nil {
		return api.Connection{}, err
	}
	before, err := f.own(ctx)
	if err != nil {
		return api.Connection{}, err
	}
	if before != nil && f.connectToken.IsZero() && fresh(*before, time.Now()) {
		if connection, err := f.useFound(ctx, *before); err == nil {
			return connection, nil
		}
	}
	for try := 1; ; try++ {
		connection, err := f.register(ctx, before)
		switch {
		case err == nil:
			return f.confirm(ctx, connection)
		case bridge.CodeOf(err) != bridge.CodeConnectionMoved:
			return api.Connection{}, err
		}
		found, foundErr := f.own(ctx)
		if foundErr != nil {
			return api.Connection{}, foundErr
		}
		if found != nil {
			connection, err = f.useFound(ctx, *found)
			if err == nil {
				return connection, nil
			}
		}
		if try == connectTries || !f.connectToken.IsZero() || !gone(err) {
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
	case bridge.CodeConnectionMoved, bridge.CodeConnectionUnknown, bridge.CodeKeyRefused:
		return true
	}
	return false
}

// own is the caller's own connection of this server, as the cloud lists it now; nil: there is none.
func (f *Flow) own(ctx context.Context) (*api.Connection, error) {
	var connections []api.Connection
	err := f.patiently(ctx, nil, func() (err error) {
		connections, err = f.cloud.Connections(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, connection := range connections {
		if connection.Mine && connection.ServerURL.Same(f.url) {
			return &connection, nil
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// register has the server issue a key and the cloud keep it, unless another connect has been faster since before was
// listed: then it answers [bridge.CodeConnectionMoved].
func (f *Flow) register(ctx context.Context, before *api.Connection) (api.Connection, error) {
	replaced := ""
	if before != nil {
		replaced = before.KeyID
	}
	// While this one waits, another connect may have come through.
	moved := func() error {
		now, err := f.own(ctx)
		if err == nil && now != nil && now.KeyID != replaced {
			return bridge.E(bridge.Conflict, bridge.CodeConnectionMoved,
				"another connect has registered this server").WithHint("ace connections list")
		}
		return nil
	}
	token := f.connectToken
	if token.IsZero() {
		err := f.patiently(ctx, moved, func() (err error) {
			token, err = f.cloud.ConnectToken(ctx, f.url, f.found.Exchange.KeyIDs)
			return err
		})
		if err != nil {
			return api.Connection{}, f.explainNarrowing(err)
		}
	}
	var key api.ExchangeAnswer
	err := f.patiently(ctx, moved, func() (err error) {
		key, err = f.server.Exchange(ctx, token, api.ExchangeRequest{Name: f.name})
		return err
	})
	if err != nil {
		return api.Connection{}, f.explainExchange(err)
	}
	if key.SealedKey == "" {
		return api.Connection{}, bridge.E(bridge.Invalid, bridge.CodeKeyNotSealed, "the server did not seal its key for the cloud").
			WithHint("give no connect token that names no sealing key; the key dies by itself at %s", key.ConfirmBy.Local().Format("2006-01-02 15:04"))
	}
	var connection api.Connection
	err = f.patiently(ctx, nil, func() (err error) {
		connection, err = f.cloud.Register(ctx, api.RegisterRequest{ServerURL: string(f.url), Name: f.name, SealedKey: key.SealedKey,
			IfKeyID: &replaced})
		return err
	})
	if err != nil && bridge.CodeOf(err) != bridge.CodeConnectionMoved {
		f.note("The server's key was not registered; unused, it dies by itself at %s.", key.ConfirmBy.Local().Format("15:04:05"))
	}
	f.keyID = key.KeyID
	return connection, err
}

// patiently does one step and waits at limits that are short, as long as the whole connect's patience lasts. meanwhile,
// where there is one, is asked after each wait and may end it.
func (f *Flow) patiently(ctx context.Context, meanwhile, step func() error) error {
	for {
		err := step()
		if err == nil {
			return nil
		}
		e := bridge.AsError(err)
		if e.Kind != bridge.TooMany || e.RetryAfter <= 0 || e.RetryAfter > f.patience {
			return err
		}
		f.patience -= e.RetryAfter
		if err := f.wait(ctx, e); err != nil {
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
func (f *Flow) wait(ctx context.Context, limit *bridge.Error) error {
	if f.pause != nil {
		return f.pause(ctx, limit.RetryAfter)
	}
	if f.waiting != nil {
		defer f.waiting(limit.RetryAfter, limit.Detail)()
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
