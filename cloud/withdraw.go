package cloud

import (
	"context"
	"sync"
	"time"

	"github.com/acebridge/ace/cloud/registry"
)

const (
	// withdrawEvery is short enough for whoever loses access to be out within a second.
	withdrawEvery = 500 * time.Millisecond
	// withdrawTime is how long a server may take. One that the cloud does not reach holds nobody up; tokens there end by
	// themselves within five minutes.
	withdrawTime   = 5 * time.Second
	withdrawAtOnce = 16
)

// deliveries are the withdrawals that are being delivered.
type deliveries struct {
	wg    sync.WaitGroup
	slots chan struct{} // one for each, up to withdrawAtOnce
}

// withdrawTokens tells servers of the access tokens whose holders are not entitled to them any more. It does not wait for
// the servers.
func (c *Cloud) withdrawTokens(ctx context.Context) error {
	due, err := c.registry.DueWithdrawals(ctx)
	if err != nil {
		return err
	}
	for _, w := range due {
		select {
		case c.withdrawals.slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		c.withdrawals.wg.Go(func() {
			defer func() { <-c.withdrawals.slots }()
			c.withdraw(ctx, w)
		})
	}
	return nil
}

func (c *Cloud) withdraw(ctx context.Context, w registry.Withdrawal) {
	bounded, cancel := context.WithTimeout(ctx, withdrawTime)
	defer cancel()
	err := c.deliverTo(bounded, w.Server, "/ace/v1/api-keys/"+w.KeyID+"/access-tokens", w.Statement)
	if err == nil {
		err = c.registry.Withdrawn(ctx, w)
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn("access tokens could not be withdrawn; trying again until they expire", "connection", w.Connection, "error", unreachable(err, w.Server).Cause)
	}
}
