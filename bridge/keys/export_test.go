package keys

import "context"

// Housekeeping is what Run does every minute.
func (a *Authority) Housekeeping(ctx context.Context) { a.housekeeping(ctx) }
