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
	methodExchange  = "exchange"       // the method of a connection whose key was made by a connect
	connectPatience = time.Minute      // total time that a connect spends waiting at rate limits
	cleanupTimeout  = 10 * time.Second // for cleaning up after an interrupt
	connectTries    = 5                // attempts when other connects add and remove the connection meanwhile
)

// Config is what a connect needs. Cloud and Server are required.
type Config struct {
	// Cloud is a client of the cloud, with the credential of the person or program that connects; required.
	Cloud *apiclient.Cloud
	// Issuer is the cloud's own URL, if a proxy makes its address different; empty means the address.
	Issuer bridge.ServerURL
	// Server is the canonical URL of the server; required.
	Server bridge.ServerURL
	// Client configures the calls to the server; the zero value will do.
	Client api.ClientConfig
	// Name is the connection's name; empty means the server's host.
	Name string
	// ConnectToken is a connect token to use instead of asking the cloud for one; usually zero.
	ConnectToken bridge.Secret
	// Note receives progress messages for a person, one line each; nil drops them. Parts of them come from servers: escape
	// control characters before printing to a terminal.
	Note func(line string)
	// Waiting is told when a rate limit makes the connect wait, for how long and why. The function it returns is called
	// when the wait is over. Nil means nobody is told.
	Waiting func(d time.Duration, why string) (done func())
}

// Flow is one connect. It is used once, by one goroutine.
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
	keyID        string // of the key that this connect registered

	patience time.Duration // time left for waiting at rate limits
	// pause replaces the wait at a rate limit in tests; nil waits.
	pause func(ctx context.Context, d time.Duration) error
}

// clock is how far the server's clock is from ours.
type clock struct {
	server time.Time
	apart  time.Duration // positive: the server is ahead
}

// New prepares a connect; nothing is sent before Run.
func New(cfg Config) *Flow {
	return &Flow{cloud: cfg.Cloud, server: apiclient.NewServer(cfg.Server, bridge.Secret{}, cfg.Client), client: cfg.Client, url: cfg.Server,
		name: cfg.Name, issuer: cmp.Or(cfg.Issuer, cfg.Cloud.Base()), told: cfg.Note, waiting: cfg.Waiting, connectToken: cfg.ConnectToken}
}

func (f *Flow) note(format string, args ...any) {
	if f.told != nil {
		f.told(fmt.Sprintf(format, args...))
	}
}

// Run connects the server and returns its connection.
//
// It changes nothing before the exchange. A connect that is interrupted later leaves at most a key that expires unless it is
// used within [bridge.UnconfirmedLife]. Of several connects at once, one registers its key; the others find that connection
// and use it. Errors are [bridge.Error]s that name the side at fault.
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

// justNow is how far apart two connects may start and still count as simultaneous. A person who repeats the command later
// means to replace the key.
const justNow = 10 * time.Second

// fresh reports whether another connect gave the connection its key just now.
func fresh(connection api.Connection, now time.Time) bool {
	return connection.Method == methodExchange && connection.ExpiresAt != nil &&
		now.Sub(connection.ExpiresAt.Add(-bridge.DefaultKeyLife)).Abs() < justNow
}

// gone reports whether a connection we found was removed since, or its key no longer works.
func gone(err error) bool {
	switch bridge.CodeOf(err) {
	case bridge.CodeConnectionMoved, bridge.CodeConnectionUnknown, bridge.CodeKeyRefused:
		return true
	}
	return false
}

// own returns the caller's own connection to this server as the cloud lists it now, or nil if there is none.
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

// register has the server issue a key and the cloud store it. If another connect was faster than this one, it fails with
// [bridge.CodeConnectionMoved]; before is the connection that was there at the start, or nil.
func (f *Flow) register(ctx context.Context, before *api.Connection) (api.Connection, error) {
	replaced := ""
	if before != nil {
		replaced = before.KeyID
	}
	// Checked after each wait: another connect may have finished meanwhile.
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
			WithHint("use a connect token that names a sealing key; the key dies by itself at %s", key.ConfirmBy.Local().Format("2006-01-02 15:04"))
	}
	var connection api.Connection
	err = f.patiently(ctx, nil, func() (err error) {
		connection, err = f.cloud.Register(ctx, api.RegisterRequest{ServerURL: string(f.url), Name: f.name, SealedKey: key.SealedKey,
			LinkKey: key.LinkKey, IfKeyID: &replaced})
		return err
	})
	if err != nil && bridge.CodeOf(err) != bridge.CodeConnectionMoved {
		f.note("The server's key was not registered; unused, it dies by itself at %s.", key.ConfirmBy.Local().Format("15:04:05"))
	}
	f.keyID = key.KeyID
	return connection, err
}

// patiently runs a step, waiting at short rate limits until the connect's patience is used up. meanwhile, if not nil, runs
// after each wait and may end the connect with an error.
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

// wait waits out a rate limit and tells the caller of the flow about it.
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
