package api_test

import (
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

func TestLimiter(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := api.NewLimiter(2*time.Second, 3, 5, func() time.Time { return now })
	for i := range 3 {
		if err := l.Allow("a"); err != nil {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	err := l.Allow("a")
	if e := bridge.AsError(err); err == nil || e.Kind != bridge.TooMany || e.RetryAfter != 2*time.Second {
		t.Errorf("the fourth try: %v", err)
	}
	for range 1000 { // refused tries cost nobody else anything
		_ = l.Allow("a")
	}
	for _, key := range []string{"b", "c"} {
		if err := l.Allow(key); err != nil {
			t.Errorf("%s is refused because of a: %v", key, err)
		}
	}
	if err := l.Allow("d"); err == nil {
		t.Error("more than the whole budget is allowed")
	}
	now = now.Add(2 * time.Second)
	if err := l.Allow("a"); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

// A refusal names whose limit was hit, and a wait of whole seconds that is never zero.
func TestLimiterSaysWhoseAndHowLong(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name, key, whose string
		interval         time.Duration
		burst, global    int
		wait             time.Duration
		hint             string
	}{
		{"address", "addr:192.0.2.1", "from your address", 100 * time.Millisecond, 1, 5, time.Second, "wait 1s and try again"},
		{"account", "user:1", "for this account", 1500 * time.Millisecond, 1, 5, 2 * time.Second, "wait 2s and try again"},
		{"organization", "org:1", "for this organization", time.Minute, 1, 5, time.Minute, "wait 1m0s and try again"},
		{"everybody", "addr:192.0.2.1", "by everybody together", 2 * time.Second, 5, 1, 2 * time.Second, "wait 2s and try again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := api.NewLimiter(c.interval, c.burst, c.global, func() time.Time { return now })
			if err := l.Allow(c.key); err != nil {
				t.Fatal(err)
			}
			e := bridge.AsError(l.Allow(c.key))
			if e.RetryAfter != c.wait || e.Hint != c.hint || e.Detail != "too many tries "+c.whose {
				t.Errorf("%s; %s (%s)", e.Detail, e.Hint, e.RetryAfter)
			}
		})
	}
}

func TestAddressKey(t *testing.T) {
	same := func(a, b string) bool { return bridge.AddressKey(a) == bridge.AddressKey(b) }
	if !same("2001:db8::1", "2001:db8::ffff:1") || same("2001:db8::1", "2001:db8:0:1::1") || same("192.0.2.1", "192.0.2.2") ||
		!same("::ffff:192.0.2.1", "192.0.2.1") {
		t.Error("IPv6 counts by its /64, IPv4 by its address")
	}
}

// A returned try costs nothing; one that is not returned counts; and never more than the burst comes back.
func TestLimiterReturn(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := api.NewLimiter(time.Minute, 3, 5, func() time.Time { return now })
	for i := range 50 {
		if err := l.Allow("a"); err != nil {
			t.Fatalf("success %d: %v", i, err)
		}
		l.Return("a")
	}
	for range 20 {
		l.Return("a", "never seen")
	}
	for i := range 3 {
		if err := l.Allow("a"); err != nil {
			t.Fatalf("failure %d: %v", i, err)
		}
	}
	if err := l.Allow("a"); bridge.AsError(err).Kind != bridge.TooMany {
		t.Errorf("a fourth failure: %v", err)
	}
}
