package servers

import (
	"golang.org/x/sync/errgroup"
)

// atOnce calls do for each item, at most n at a time, so that one slow server delays few others. It returns the first error once
// all are done; an error does not stop the others.
func atOnce[T any](n int, items []T, do func(T) error) error {
	var group errgroup.Group
	group.SetLimit(n)
	for _, item := range items {
		group.Go(func() error { return do(item) })
	}
	return group.Wait() //nolint:wrapcheck // the caller's own error
}
