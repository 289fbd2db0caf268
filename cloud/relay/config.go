// Package relay calls a connection's server on a member's behalf, without the member seeing a key.
//
//	ANY /v1/connections/{id}/relay/{path}
//
//	who calls ──► access terms: asked of the store, then kept for a moment and asked again while calls are open
//	          ──► a slot of the member's, the connection's and the organization's quota
//	          ──► the target: one transport a server, whose addresses cloud/outbound judges when they are dialed
//	          ──► the call, with the credential, without cookies and what else is the browser's
//	          ──► the answer, under a sandbox policy and without what could act on the cloud's origin
//
//	access terms: fresh ──► checked again ──► still the same | changed: open calls are cut
//	target:       used ──► failed: the connection is probed at once ──► unused: closed
//
// It promises that an answer in full or in part is the server's own, that a call ends within a second of the access that it
// goes by, and that it neither follows redirects nor uses a proxy of the environment. Uses are counted here and stored from
// time to time; who reads them, cloud/v1 and cloud/dashboard know.
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
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/periodic"
	"github.com/acebridge/ace/cloud/who"
)

// Config is all that the relay may touch. Every field is required; the zero Limits are the defaults.
type Config struct {
	PublicURL bridge.ServerURL // the cloud's own URL, which names it in Via
	Outbound  outbound.Rules
	Limits    who.RelayLimits
	Keys      *keys.Authority // of the cloud's own API
	Who       *who.Finder
	Quotas    *who.Quotas
	Tokens    *connections.Tokens
	// Check probes a connection that has failed.
	Check func(ctx context.Context, p accounts.Principal, connection string) (api.Connection, error)
	Now   func() time.Time
}

// Relay calls servers on members' behalf. Its methods are safe for concurrent use.
type Relay struct {
	cfg          Config
	log          *slog.Logger
	keys         *keys.Authority
	who          *who.Finder
	quotas       *who.Quotas
	accessTokens *connections.Tokens
	calls        *calls
}

// New returns the relay. [Relay.Run] does its work beside requests.
func New(cfg Config, log *slog.Logger) *Relay {
	return &Relay{cfg: cfg, log: log, keys: cfg.Keys, who: cfg.Who, quotas: cfg.Quotas, accessTokens: cfg.Tokens,
		calls: newCalls(cfg.PublicURL, cfg.Outbound, cfg.Limits, log)}
}

// Run asks again whether open calls may go on, probes what has failed, and stores uses, until ctx ends.
func (rl *Relay) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { rl.probeSuspects(ctx) })
	periodic.Run(ctx, rl.log, periodic.Job{Every: recheckEvery, Do: rl.Recheck}, periodic.Job{Every: usesEvery, Do: rl.storeUses})
	wg.Wait()
	return nil
}

// Close cuts the open calls and stores what was counted last.
func (rl *Relay) Close() {
	rl.calls.close()
	last, cancel := context.WithTimeout(context.Background(), usesEvery)
	defer cancel()
	if err := rl.storeUses(last); err != nil {
		rl.log.Warn("the last calls through the relay are not in the history", "error", err)
	}
}

// ForgetTarget closes what is kept open to the server of a connection that is gone.
func (rl *Relay) ForgetTarget(connection string) { rl.calls.targets.forget(connection) }

// AccessChanged has the access terms of all calls asked for anew.
func (rl *Relay) AccessChanged() { rl.calls.terms.forget() }
