// Package servers does what the cloud asks of customers' servers.
//
// It probes them, ends keys that are revoked, withdraws access tokens, rotates keys before they expire, and reads catalogues
// and keys for the dashboard. What it finds it reports to the stores, which own the rows:
//
//	probe:      due ──► asked ──► online | offline | unauthorized, with the cause and the fix
//	revocation: due ──► delivered | tried again later
//	withdrawal: due ──► told to the server | tried again later
//	rotation:   due ──► begun ──► the new key tested ──► finished | overtaken | tried again later
//
// A disconnect is a use case of both the API and the dashboard, and so are a change of sharing, a limit, and the preview of
// what each would end: they are here, below both. Which addresses may be called, cloud/outbound decides.
package servers

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/periodic"
	"github.com/acebridge/ace/cloud/preview"
	"github.com/acebridge/ace/cloud/who"
)

// Config is all that the room may touch. Every field is required.
type Config struct {
	Version     string // of this cloud, which servers are told
	Outbound    *http.Client
	Keys        *keys.Authority // of the cloud's own API
	Who         *who.Finder
	Quotas      *who.Quotas
	Connections *connections.Store
	Tokens      *connections.Tokens
	Upkeep      *connections.Upkeep
	Preview     *preview.Preview
	// ForgetTarget tells the relay that a connection is gone.
	ForgetTarget func(connection string)
	Now          func() time.Time
}

// Servers calls customers' servers for the cloud itself. Its methods are safe for concurrent use.
type Servers struct {
	cfg          Config
	log          *slog.Logger
	outbound     *http.Client
	keys         *keys.Authority
	who          *who.Finder
	quotas       *who.Quotas
	connections  *connections.Store
	accessTokens *connections.Tokens
	upkeep       *connections.Upkeep
	preview      *preview.Preview
	forgetTarget func(connection string)

	withdrawals deliveries
	sweep       sweep
}

// New returns the room. [Servers.Run] does its work beside requests.
func New(cfg Config, log *slog.Logger) *Servers {
	return &Servers{cfg: cfg, log: log, outbound: cfg.Outbound, keys: cfg.Keys, who: cfg.Who, quotas: cfg.Quotas,
		connections: cfg.Connections, accessTokens: cfg.Tokens, upkeep: cfg.Upkeep, preview: cfg.Preview, forgetTarget: cfg.ForgetTarget}
}

// Run probes connections, rotates their keys and delivers revocations and withdrawals, until ctx ends.
func (sv *Servers) Run(ctx context.Context) error {
	periodic.Run(ctx, sv.log,
		periodic.Job{Every: probeEvery, Do: sv.ProbeStale},
		periodic.Job{Every: deliverEvery, Wake: sv.upkeep.RevocationsDue(), Do: sv.DeliverRevocations},
		periodic.Job{Every: rotateEvery, Do: sv.RotateKeys},
		periodic.Job{Every: withdrawEvery, Wake: sv.accessTokens.WithdrawalsDue(), Do: sv.withdrawTokens})
	sv.withdrawals.wg.Wait()
	return nil
}

// WithdrawTokens delivers what is to be withdrawn, and waits for the servers.
func (sv *Servers) WithdrawTokens(ctx context.Context) error {
	err := sv.withdrawTokens(ctx)
	sv.withdrawals.wg.Wait()
	return err
}
