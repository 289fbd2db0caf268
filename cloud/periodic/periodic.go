// Package periodic runs background work again and again: by the clock, and when it is woken.
package periodic

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Job is work that is done at the start, then at an interval, and at once when it is woken.
type Job struct {
	Every time.Duration
	Wake  <-chan struct{} // nil: only the time
	Do    func(context.Context) error
}

// Run does the jobs, each beside the others, until ctx ends. A failure is logged, and the job is tried again.
func Run(ctx context.Context, log *slog.Logger, jobs ...Job) {
	var wg sync.WaitGroup
	for _, j := range jobs {
		wg.Go(func() { j.run(ctx, log) })
	}
	wg.Wait()
}

func (j Job) run(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(j.Every)
	defer ticker.Stop()
	for {
		if err := j.Do(ctx); err != nil && !errors.Is(err, context.Canceled) {
			log.Warn("background work failed; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-j.Wake:
		case <-ticker.C:
		}
	}
}
