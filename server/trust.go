package server

import (
	"context"
	"sync/atomic"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/server/link"
)

// trust is the cloud that a server trusts: a configured one, or the one that it has joined. A join changes it at run time.
type trust struct {
	configured bridge.Trust
	pinned     bool // at the start
	current    atomic.Pointer[bridge.Trust]
}

// newTrust reads the pin of an earlier join. It refuses a configured cloud that is another one.
func newTrust(ctx context.Context, configured bridge.Trust, store *link.Store) (*trust, error) {
	pin, err := store.Pin(ctx)
	if err != nil {
		return nil, err
	}
	t := &trust{configured: configured, pinned: pin != ""}
	return t, t.pin(pin)
}

// pin trusts a value of ACE_CLOUD_PUBLIC_KEY from now on, in addition to what is configured; empty: only that.
func (t *trust) pin(value string) error {
	both, err := link.RequireTrust(t.configured, value)
	if err == nil {
		t.current.Store(&both)
	}
	return err
}

// now returns whom the server trusts at the moment.
func (t *trust) now() bridge.Trust { return *t.current.Load() }
