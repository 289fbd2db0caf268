package keys_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
)

func mustV7() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// modelKey is a key as somebody sees it who has only read what the operations promise.
type modelKey struct {
	id       uuid.UUID
	current  bridge.Key
	previous *bridge.Key
	grace    time.Time
	expires  time.Time
	life     time.Duration
	revoked  bool
	disabled bool
	dead     []bridge.Key // secrets that must never pass again
}

func (m *modelKey) alive(now time.Time) bool {
	return !m.revoked && !m.disabled && now.Before(m.expires)
}

// replace gives the key a new secret; the old one lives until the grace ends.
func (m *modelKey) replace(fresh bridge.Key, grace time.Time) {
	if m.previous != nil {
		m.dead = append(m.dead, *m.previous)
		m.previous = nil
	}
	old := m.current
	if grace.IsZero() {
		m.dead = append(m.dead, old)
	} else {
		m.previous, m.grace = &old, grace
	}
	m.current = fresh
}

// TestRandomLifecycles runs random operations against a simple model, restarting the authority now and then.
func TestRandomLifecycles(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		seed := uint64(time.Now().UnixNano()) //nolint:gosec // any
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test
		var all []*modelKey
		for step := range 300 {
			if len(all) < 3 || r.IntN(12) == 0 {
				life := []time.Duration{7, 30, 90}[r.IntN(3)] * 24 * time.Hour
				key := f.mint(t, admin, keys.Wish{Name: fmt.Sprint(step), ExpiresIn: life.String()})
				all = append(all, &modelKey{id: key.ID, current: key, expires: f.clock.now().Add(life), life: life})
			}
			m := all[r.IntN(len(all))]
			what := f.operate(t, r, m)
			if r.IntN(40) == 0 {
				f = f.again(t)
			}
			for _, k := range all {
				f.check(t, k, fmt.Sprintf("step %d, %s", step, what))
			}
			if t.Failed() {
				return
			}
		}
	})
}

func (f fixture) operate(t *testing.T, r *rand.Rand, m *modelKey) string {
	t.Helper()
	now := f.clock.now()
	expect := func(err error, ok bool) {
		t.Helper()
		if (err == nil) != ok {
			t.Errorf("%+v: %v, want success: %v", m, err, ok)
		}
	}
	switch r.IntN(7) {
	case 0:
		fresh, _, err := f.Revive(t.Context(), admin, m.id, m.life.String())
		expect(err, !m.revoked && (!m.disabled || !now.Before(m.expires)) && !m.disabled)
		if err == nil {
			m.replace(fresh, time.Time{})
			m.expires = now.Add(m.life)
		}
		return "revive"
	case 1:
		grace := []time.Duration{0, time.Hour, 24 * time.Hour}[r.IntN(3)]
		fresh, _, err := f.Rotate(t.Context(), admin, m.id, keys.Rotation{Grace: grace.String()})
		expect(err, m.alive(now) && (m.previous == nil || !now.Before(m.grace)))
		if err == nil {
			until := time.Time{}
			if grace > 0 {
				if until = now.Add(grace); m.expires.Before(until) {
					until = m.expires
				}
			}
			m.replace(fresh, until)
			m.expires = now.Add(m.life)
		}
		return "rotate " + grace.String()
	case 2:
		if r.IntN(4) > 0 {
			return "nothing"
		}
		_, err := f.Revoke(t.Context(), admin, m.id, "model")
		expect(err, true)
		m.revoked = true
		return "revoke"
	case 3:
		_, err := f.Disable(t.Context(), admin, m.id)
		expect(err, !m.revoked && now.Before(m.expires))
		m.disabled = m.disabled || err == nil
		return "disable"
	case 4:
		_, err := f.Enable(t.Context(), admin, m.id)
		expect(err, !m.revoked)
		m.disabled = m.disabled && err != nil
		return "enable"
	case 5:
		f.clock.advance([]time.Duration{time.Minute, time.Hour, 3 * 24 * time.Hour}[r.IntN(3)])
		return "wait"
	}
	if r.IntN(3) == 0 && m.previous != nil {
		_, ours, err := f.Leaked(t.Context(), admin.Actor, m.previous.Text(), "")
		expect(err, true)
		if ours != now.Before(m.grace) {
			t.Errorf("a leaked secret within its grace is known: %v", ours)
		}
		if ours {
			m.dead, m.previous = append(m.dead, *m.previous), nil
		}
		return "leak"
	}
	return "nothing"
}

func (f fixture) check(t *testing.T, m *modelKey, when string) {
	t.Helper()
	now := f.clock.now()
	passes := func(key bridge.Key) bool {
		id, err := f.verify(t, key.Text())
		// Whatever happens to a key, it never gets more than it was created with.
		if err == nil && id.Scopes.String() != "app:*" {
			t.Errorf("%s: the scopes are %s", when, id.Scopes)
		}
		return err == nil
	}
	if got, want := passes(m.current), m.alive(now); got != want {
		t.Errorf("%s: the secret passes: %v, want %v: %+v", when, got, want, m)
	}
	if m.previous != nil {
		if got, want := passes(*m.previous), m.alive(now) && now.Before(m.grace); got != want {
			t.Errorf("%s: the secret before passes: %v, want %v: %+v", when, got, want, m)
		}
	}
	for _, old := range m.dead {
		if passes(old) {
			t.Errorf("%s: a dead secret passes: %+v", when, m)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"", "100/m", "1/s", "0/s", "1000001/d", "5", "/h", "-1/m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rate, err := record.ParseRate(s)
		if err != nil {
			return
		}
		again, err := record.ParseRate(rate.String())
		if err != nil || again != rate {
			t.Errorf("%q is %v, which reads as %v (%v)", s, rate, again, err)
		}
	})
}

func FuzzParseLimits(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "2001:db8::/32", "::ffff:10.0.0.1", "fe80::1%eth0", "1.2.3.4/33"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := record.ParseLimits([]string{s}, "", 0)
		if err == nil && (len(l.AllowFrom) != 1 || !l.AllowFrom[0].IsValid() || l.AllowFrom[0] != l.AllowFrom[0].Masked()) {
			t.Errorf("%q reads as %v", s, l.AllowFrom)
		}
	})
}

func FuzzParseGrace(f *testing.F) {
	for _, s := range []string{"", "0", "24h", "7d", "31d", "-1h", "1e9h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if grace, err := keys.ParseGrace(s); err == nil && (grace < 0 || grace > 30*24*time.Hour) {
			t.Errorf("%q is a grace of %v", s, grace)
		}
	})
}
