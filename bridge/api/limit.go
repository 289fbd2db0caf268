package api

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/acebridge/ace/bridge"
)

// Limiter bounds how often something may be tried: per key (an account, or an address) and in all. Its memory is
// bounded: what has not been tried for long enough to be full again is forgotten.
type Limiter struct {
	every  rate.Limit
	burst  int
	now    func() time.Time
	mu     sync.Mutex
	keys   map[string]*rate.Limiter
	global *rate.Limiter
}

const maxLimited = 10_000

// NewLimiter allows burst tries at once per key and then one every interval, and globalBurst in all at once and then
// as many per interval.
func NewLimiter(interval time.Duration, burst, globalBurst int, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	return &Limiter{every: rate.Every(interval), burst: burst, now: now, keys: map[string]*rate.Limiter{},
		global: rate.NewLimiter(rate.Every(interval)*rate.Limit(globalBurst), globalBurst)}
}

// Allow takes one try for every key, or answers a TooMany error that says when to come back.
func (l *Limiter) Allow(keys ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if len(l.keys) >= maxLimited {
		l.forget(now)
	}
	limiters := make([]*rate.Limiter, 0, len(keys)+1)
	for _, key := range keys {
		limiter, ok := l.keys[key]
		if !ok {
			limiter = rate.NewLimiter(l.every, l.burst)
			if len(l.keys) < maxLimited {
				l.keys[key] = limiter
			}
		}
		limiters = append(limiters, limiter)
	}
	var wait time.Duration
	whose := ""
	taken := make([]*rate.Reservation, 0, len(limiters)+1)
	for i, limiter := range append(limiters, l.global) {
		reservation := limiter.ReserveN(now, 1)
		taken = append(taken, reservation)
		if delay := reservation.DelayFrom(now); delay > wait {
			wait, whose = delay, "by everybody together"
			if i < len(keys) {
				whose = limitedBy(keys[i])
			}
		}
	}
	if wait > 0 {
		// A refused try costs nothing anywhere, or one address could use up what all share.
		for _, reservation := range taken {
			reservation.CancelAt(now)
		}
		wait = bridge.WholeSeconds(wait)
		return &bridge.Error{Kind: bridge.TooMany, Code: bridge.CodeTooManyRequests, Detail: "too many tries " + whose,
			RetryAfter: wait,
			Hint:       "wait " + wait.String() + " and try again"}
	}
	return nil
}

// Return gives back the try that Allow has taken for every key, where only failures are to count.
func (l *Limiter) Return(keys ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, key := range keys {
		if limiter, ok := l.keys[key]; ok {
			limiter.AllowN(now, -1)
		}
	}
	l.global.AllowN(now, -1)
}

// limitedBy says whose limit a key is: the word before its colon tells.
func limitedBy(key string) string {
	kind, _, _ := strings.Cut(key, ":")
	switch kind {
	case "addr":
		return "from your address"
	case "user", "account":
		return "for this account"
	case "org", "provider":
		return "for this organization"
	}
	return "for one caller"
}

// forget drops the keys that have all their tries back.
func (l *Limiter) forget(now time.Time) {
	for key, limiter := range l.keys {
		if limiter.TokensAt(now) >= float64(l.burst) {
			delete(l.keys, key)
		}
	}
}
