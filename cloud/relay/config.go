// Package relay calls a connection's server on a member's behalf, without showing the member a key.
//
//	ANY /v1/connections/{id}/relay/{path}
//
//	caller ──► access terms: read from the store, reused for 700 ms, and checked every 250 ms while calls are open
//	       ──► a slot in the quotas of the member, the connection and the organization
//	       ──► target: one way per server: over its link (cloud/links), or directly; then cloud/outbound judges the address
//	       ──► request: with the connection's credential, without cookies and anything else of the browser's
//	       ──► response: under a sandbox policy, without headers that could affect the cloud's origin
//
// The life of what it keeps:
//
//	access terms: fresh ──checked──► still the same ──► fresh
//	                           └───► changed, or no answer for 10 s: open calls are cut
//	target:       in use ──a call fails──► its connection is probed at once
//	                └──unused for 2 minutes, or disconnected──► closed
//
// It promises that a response, whether complete or cut off, is the server's own; that a call ends within a second after its
// caller loses access; and that it neither follows redirects nor uses proxies from the environment. All reasons why a server
// cannot be reached directly look alike to the caller, so that nobody can explore a network through it; how its link is, a caller
// may know.
//
// Uses are counted in memory and stored every five seconds; cloud/v1 and cloud/dashboard show them. What a member may do over a
// connection is decided by cloud/connections.
package relay

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/links"
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/periodic"
	"github.com/acebridge/ace/cloud/tokens"
	"github.com/acebridge/ace/cloud/who"
)

// Config is what the relay needs. Every field is required; zero Limits are the defaults.
type Config struct {
	PublicURL bridge.ServerURL // the cloud's own URL; its hash identifies the cloud in Via
	Outbound  outbound.Rules
	Links     *links.Links
	Limits    who.RelayLimits
	Keys      *keys.Authority // for the cloud's own API
	Who       *who.Finder
	Quotas    *who.Quotas
	Tokens    *tokens.Tokens
	History   *connections.History
	// Check probes a connection whose call has failed.
	Check func(ctx context.Context, p accounts.Principal, connection string) (api.Connection, error)
	Now   func() time.Time
}

// Relay calls servers on members' behalf. It is safe for concurrent use.
type Relay struct {
	cfg          Config
	log          *slog.Logger
	keys         *keys.Authority
	who          *who.Finder
	quotas       *who.Quotas
	accessTokens *tokens.Tokens
	history      *connections.History
	calls        *calls
}

// New returns the relay. [Relay.Run] does its background work.
func New(cfg Config, log *slog.Logger) *Relay {
	return &Relay{cfg: cfg, log: log, keys: cfg.Keys, who: cfg.Who, quotas: cfg.Quotas, accessTokens: cfg.Tokens, history: cfg.History,
		calls: newCalls(cfg, log)}
}

// Run rechecks open calls, probes connections that have failed, and stores uses, until ctx ends.
func (rl *Relay) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { rl.probeSuspects(ctx) })
	periodic.Run(ctx, rl.log, periodic.Job{Every: recheckEvery, Do: rl.Recheck}, periodic.Job{Every: usesEvery, Do: rl.storeUses})
	wg.Wait()
	return nil
}

// Close cuts open calls and stores the last uses.
func (rl *Relay) Close() {
	rl.calls.close()
	last, cancel := context.WithTimeout(context.Background(), usesEvery)
	defer cancel()
	if err := rl.storeUses(last); err != nil {
		rl.log.Warn("the last calls through the relay are not in the history", "error", err)
	}
}

// ForgetTarget closes idle connections to the server of a connection that was removed.
func (rl *Relay) ForgetTarget(connection string) { rl.calls.targets.forget(connection) }

// AccessChanged makes every caller's access terms be read again.
func (rl *Relay) AccessChanged() { rl.calls.terms.forget() }
