// Package periodic runs background jobs: at the start, at intervals, and whenever they are woken.
//
// A failing job is logged and tried again at the next turn; it stops neither itself nor the others.
package periodic

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Job is one piece of recurring work.
type Job struct {
	Every time.Duration
	Wake  <-chan struct{}             // runs the job at once; nil: only at intervals
	Do    func(context.Context) error // never runs twice at a time
}

// Run runs the jobs side by side until ctx ends and all have returned.
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
