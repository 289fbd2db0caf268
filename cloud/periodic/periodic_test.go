package periodic_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acebridge/ace/cloud/periodic"
)

// A job runs at the start, by its interval and when it is woken; each goes by its own time.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		wake := make(chan struct{}, 1)
		var often, seldom []time.Duration
		ended := make(chan struct{})
		go func() {
			periodic.Run(ctx, slog.New(slog.DiscardHandler),
				periodic.Job{Every: time.Minute, Do: func(context.Context) error { often = append(often, time.Since(began)); return nil }},
				periodic.Job{Every: time.Hour, Wake: wake, Do: func(context.Context) error { seldom = append(seldom, time.Since(began)); return nil }})
			close(ended)
		}()
		time.Sleep(90 * time.Second) // of the bubble, which takes no time
		wake <- struct{}{}
		synctest.Wait()
		if len(often) != 2 || often[0] != 0 || often[1] != time.Minute {
			t.Errorf("the frequent job ran at %v", often)
		}
		if len(seldom) != 2 || seldom[0] != 0 || seldom[1] != 90*time.Second {
			t.Errorf("the job that was woken ran at %v", seldom)
		}
		cancel()
		<-ended
		time.Sleep(2 * time.Hour)
		if len(often) != 2 || len(seldom) != 2 {
			t.Errorf("after the end they ran %d and %d times", len(often), len(seldom))
		}
	})
}

// A failure is logged and tried again; one that is the end of the process is not logged.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		logged int
	}{"fails": {errors.New("the database is away"), 3}, "is ended": {context.Canceled, 0}, "works": {nil, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
				defer cancel()
				runs := 0
				periodic.Run(ctx, slog.New(slog.NewTextHandler(&log, nil)), periodic.Job{Every: time.Minute, Do: func(context.Context) error { runs++; return c.err }})
				if n := strings.Count(log.String(), "trying again"); runs != 3 || n != c.logged {
					t.Errorf("it ran %d times, and %d failures are logged", runs, n)
				}
			})
		})
	}
}

// A job that takes long delays itself, and no other.
func TestSlowJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute+time.Second)
		defer cancel()
		slow, quick := 0, 0
		periodic.Run(ctx, slog.New(slog.DiscardHandler),
			periodic.Job{Every: time.Minute, Do: func(ctx context.Context) error {
				if ctx.Err() == nil {
					slow++
				}
				time.Sleep(5 * time.Minute)
				return nil
			}},
			periodic.Job{Every: time.Minute, Do: func(context.Context) error { quick++; return nil }})
		if slow != 3 || quick != 11 {
			t.Errorf("the slow job ran %d times, the quick one %d times", slow, quick)
		}
	})
}
