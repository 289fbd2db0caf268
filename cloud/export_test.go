package cloud

import (
	"context"

	"github.com/acebridge/ace/bridge/sqldb"
)

// Database is what a cloud keeps its rows in.
func (c *Cloud) Database() *sqldb.DB { return c.db }

// What [Cloud.Run] does again and again.
var (
	RotateKeys         = (*Cloud).rotateKeys
	DeliverRevocations = (*Cloud).deliverRevocations
	ProbeStale         = (*Cloud).probeStale
	RecheckRelays      = (*Cloud).recheckRelays
)

// WithdrawTokens delivers what is to be withdrawn, and waits for the servers.
func WithdrawTokens(c *Cloud, ctx context.Context) error {
	err := c.withdrawTokens(ctx)
	c.withdrawals.wg.Wait()
	return err
}
