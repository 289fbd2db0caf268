// Package servers calls customers' servers on the cloud's own behalf.
//
// It probes them, revokes keys, withdraws access tokens, rotates keys before they expire, and reads catalogues and keys for the
// dashboard. It reports the results to the stores, which own the rows:
//
//	probe:      due, or the links have changed ──► asked ──► online | offline | unauthorized | unknown, with the cause and what to do
//	revocation: due ──► delivered | retried later
//	withdrawal: due ──► told to the server | retried later
//	rotation:   due ──► begun ──► new secret tested ──► finished | overtaken | retried later
//
// [Servers.Run] does that in the background, a bounded number at a time, so that a slow server delays few others. A crash at any
// point leaves work that is taken up again.
//
// Operations that both the API and the dashboard offer and that involve a server are here, below both: disconnecting, changing
// the sharing, limiting a member, and previewing what each would end. What a server says is not trusted: texts are bounded and
// cleaned ([Shown]), and errors are put in our own words ([ServerError]). Which way a call takes is up to cloud/links, and which
// addresses may be called to cloud/outbound.
package servers

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/links"
	"github.com/acebridge/ace/cloud/periodic"
	"github.com/acebridge/ace/cloud/preview"
	"github.com/acebridge/ace/cloud/tokens"
	"github.com/acebridge/ace/cloud/upkeep"
	"github.com/acebridge/ace/cloud/who"
)

// Config is what the room needs. Every field is required.
type Config struct {
	Version     string          // of this cloud, sent to servers as the user agent
	Outbound    *http.Client    // calls servers directly
	Links       *links.Links    // the ways to servers
	Keys        *keys.Authority // for the cloud's own API
	Who         *who.Finder
	Quotas      *who.Quotas
	Connections *connections.Store
	Tokens      *tokens.Tokens
	Upkeep      *upkeep.Upkeep
	Preview     *preview.Preview
	// ForgetTarget tells the relay that a connection was removed.
	ForgetTarget func(connection string)
	Now          func() time.Time
}

// Servers calls customers' servers on the cloud's own behalf. It is safe for concurrent use.
type Servers struct {
	cfg          Config
	log          *slog.Logger
	outbound     *http.Client
	links        *links.Links
	keys         *keys.Authority
	who          *who.Finder
	quotas       *who.Quotas
	connections  *connections.Store
	accessTokens *tokens.Tokens
	upkeep       *upkeep.Upkeep
	preview      *preview.Preview
	forgetTarget func(connection string)

	withdrawals deliveries
	sweep       sweep
	newcomers   newcomers
}

// New returns the room. [Servers.Run] does its background work.
func New(cfg Config, log *slog.Logger) *Servers {
	sv := &Servers{cfg: cfg, log: log, outbound: cfg.Outbound, links: cfg.Links, keys: cfg.Keys, who: cfg.Who, quotas: cfg.Quotas,
		connections: cfg.Connections, accessTokens: cfg.Tokens, upkeep: cfg.Upkeep, preview: cfg.Preview, forgetTarget: cfg.ForgetTarget}
	sv.newcomers = newcomers{of: sv, woken: make(chan struct{}, 1), waiting: map[string]bool{}}
	return sv
}

// Run probes connections, rotates keys, and delivers revocations and withdrawals, until ctx ends.
//
// It returns nil once the deliveries in progress are done.
func (sv *Servers) Run(ctx context.Context) error {
	periodic.Run(ctx, sv.log,
		periodic.Job{Every: probeEvery, Do: sv.ProbeStale},
		periodic.Job{Every: probeEvery, Wake: sv.newcomers.woken, Do: sv.newcomers.probeWaiting},
		periodic.Job{Every: linkedEvery, Do: sv.newcomers.probeLinked},
		periodic.Job{Every: probeEvery, Do: sv.newcomers.lostLinks},
		periodic.Job{Every: deliverEvery, Wake: sv.upkeep.RevocationsDue(), Do: sv.DeliverRevocations},
		periodic.Job{Every: rotateEvery, Do: sv.RotateKeys},
		periodic.Job{Every: withdrawEvery, Wake: sv.accessTokens.WithdrawalsDue(), Do: sv.withdrawTokens})
	sv.withdrawals.wg.Wait()
	sv.newcomers.wg.Wait()
	return nil
}

// way returns a transport that takes the way to a connection's server: over its link, or directly.
func (sv *Servers) way(connection string, server bridge.ServerURL) http.RoundTripper {
	return sv.links.Way(connection, server, sv.outbound.Transport)
}

// client returns a client that takes the way to a connection's server.
func (sv *Servers) client(connection string, server bridge.ServerURL) *http.Client {
	client := *sv.outbound
	client.Transport = sv.way(connection, server)
	return &client
}

// WithdrawTokens delivers the withdrawals that are due, and waits until the servers have answered.
func (sv *Servers) WithdrawTokens(ctx context.Context) error {
	err := sv.withdrawTokens(ctx)
	sv.withdrawals.wg.Wait()
	return err
}
