package api

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/acebridge/ace/bridge"
)

// Limiter bounds how often something may be tried, per key and overall.
//
// A key names an account or an address. Memory is bounded: a key that has all its tries back is forgotten.
type Limiter struct {
	every  rate.Limit
	burst  int
	now    func() time.Time
	mu     sync.Mutex
	keys   map[string]*rate.Limiter
	global *rate.Limiter
}

const maxLimited = 10_000

// NewLimiter returns a limiter.
//
// Each key gets burst tries at once and then one per interval; all keys together get globalBurst at once and then as many per
// interval. A nil now is time.Now.
func NewLimiter(interval time.Duration, burst, globalBurst int, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	return &Limiter{every: rate.Every(interval), burst: burst, now: now, keys: map[string]*rate.Limiter{},
		global: rate.NewLimiter(rate.Every(interval)*rate.Limit(globalBurst), globalBurst)}
}

// Allow takes one try from every key, or fails with a TooMany error that says when to retry.
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
		// A refused try costs nothing, or one address could use up the limit that all share.
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

// Return gives back the try that Allow took from every key, for limits that count only failures.
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

// limitedBy says whose limit a key stands for, by the word before its colon.
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
