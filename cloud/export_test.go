package cloud

import (
	"context"

	"github.com/acebridge/ace/bridge/sqldb"
)

// Database is what a cloud keeps its rows in.
func (c *Cloud) Database() *sqldb.DB { return c.db }

// The periodic work of [Cloud.Run], one round at a time.

func RotateKeys(c *Cloud, ctx context.Context) error { return c.servers.RotateKeys(ctx) }
func DeliverRevocations(c *Cloud, ctx context.Context) error {
	return c.servers.DeliverRevocations(ctx)
}
func ProbeStale(c *Cloud, ctx context.Context) error    { return c.servers.ProbeStale(ctx) }
func RecheckRelays(c *Cloud, ctx context.Context) error { return c.relay.Recheck(ctx) }

// WithdrawTokens delivers what is to be withdrawn, and waits for the servers.
func WithdrawTokens(c *Cloud, ctx context.Context) error { return c.servers.WithdrawTokens(ctx) }
