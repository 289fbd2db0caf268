package servers

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAtOnce checks that no more than n run at a time, and that a failure keeps none from running.
func TestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := errors.New("the first"), errors.New("the second")
		var under, most, done atomic.Int32
		err := atOnce(3, []error{nil, second, first, nil, nil, nil, nil}, func(err error) error {
			most.Store(max(most.Load(), under.Add(1)))
			defer under.Add(-1)
			if errors.Is(err, first) {
				time.Sleep(time.Second)
			} else {
				time.Sleep(time.Minute)
			}
			done.Add(1)
			return err
		})
		if !errors.Is(err, first) || most.Load() != 3 || done.Load() != 7 {
			t.Errorf("%v, %d at a time, %d done", err, most.Load(), done.Load())
		}
	})
}
