package connect

import (
	"context"
	"time"
)

// SetPause replaces the wait at a rate limit.
func (f *Flow) SetPause(pause func(ctx context.Context, d time.Duration) error) { f.pause = pause }
