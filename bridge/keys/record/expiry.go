package record

import (
	"strconv"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
)

const maxLife = 10 * 366 * 24 * time.Hour

// ParseExpiry parses when a key is to expire.
//
// It takes "" (90 days), days ("30d"), a duration ("12h"), a date ("2027-01-31": its last second in UTC), an RFC 3339 time, or
// "never", which is the zero time. It refuses times that have passed or are more than ten years away.
func ParseExpiry(s string, now time.Time) (time.Time, error) {
	bad := func(why string) (time.Time, error) {
		return time.Time{}, bridge.E(bridge.Invalid, bridge.CodeExpiryMalformed, "the expiry %s", why).
			WithHint("say 30d, 12h, 2027-01-31 (the end of that day, UTC), 2027-01-31T18:00:00+01:00 or never")
	}
	if len(s) > 40 {
		return bad("is too long")
	}
	var expires time.Time
	switch {
	case s == "":
		return now.Add(bridge.DefaultKeyLife), nil
	case s == "never":
		return time.Time{}, nil
	case strings.HasSuffix(s, "d"):
		days, err := strconv.ParseUint(strings.TrimSuffix(s, "d"), 10, 16)
		if err != nil {
			return bad("is not a number of days")
		}
		expires = now.Add(time.Duration(days) * 24 * time.Hour) //nolint:gosec // 16 bits
	default:
		if day, err := time.Parse(time.DateOnly, s); err == nil {
			expires = day.Add(24*time.Hour - time.Second)
		} else if at, err := time.Parse(time.RFC3339, s); err == nil {
			expires = at.UTC()
		} else if life, err := time.ParseDuration(s); err == nil {
			expires = now.Add(life)
		} else {
			return bad("is not understood")
		}
	}
	if !expires.After(now) {
		return bad("is in the past")
	}
	if expires.Sub(now) > maxLife {
		return bad("is more than ten years away")
	}
	return expires, nil
}
