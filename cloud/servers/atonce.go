package servers

import (
	"golang.org/x/sync/errgroup"
)

// atOnce does something with each of the items, at most n at a time, so that a slow server holds up few others. It returns
// once all are done, with the first error; an error does not keep the others from being done.
func atOnce[T any](n int, items []T, do func(T) error) error {
	var group errgroup.Group
	group.SetLimit(n)
	for _, item := range items {
		group.Go(func() error { return do(item) })
	}
	return group.Wait() //nolint:wrapcheck // it is the caller's own
}
