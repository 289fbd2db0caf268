package keys

import "context"

// Housekeeping is what Run does every minute.
func (a *Authority) Housekeeping(ctx context.Context) { a.housekeeping(ctx) }

// Pull is what Run does when it is told of a change.
func (a *Authority) Pull(ctx context.Context) error { return a.table.Pull(ctx) }
