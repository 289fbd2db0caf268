package keys

import "context"

// Housekeeping does what Run does every minute.
func (a *Authority) Housekeeping(ctx context.Context) { a.housekeeping(ctx) }

// Pull does what Run does when it hears of a change.
func (a *Authority) Pull(ctx context.Context) error { return a.table.Pull(ctx) }
