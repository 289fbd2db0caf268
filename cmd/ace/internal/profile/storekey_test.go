package profile

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// The time of the keyring is for all its calls together.
func TestKeyringBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := &ring{limit: keyringTimeout}
		start := time.Now()
		slow := func(d time.Duration) func() (string, error) {
			return func() (string, error) {
				select {
				case <-time.After(d):
				case <-release:
				}
				return "", nil
			}
		}
		if _, err := r.ask(t.Context(), slow(2*time.Second)); err != nil {
			t.Errorf("a keyring that answers after 2 s: %v", err)
		}
		for range 3 {
			if _, err := r.ask(t.Context(), slow(time.Hour)); !errors.Is(err, errKeyringSilent) {
				t.Errorf("a silent keyring: %v", err)
			}
		}
		if took := time.Since(start); took != keyringTimeout {
			t.Errorf("the keyring took %s in all, want %s", took, keyringTimeout)
		}
		close(release)
	})
}
