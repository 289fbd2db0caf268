package keys

import "time"

// warnDays are how long before its end the holder and the operator are told that a key will expire.
var warnDays = [...]int64{1, 7, 30}

const secondsPerDay = 24 * 60 * 60

// warnings is how many of warnDays are shorter than the whole life of a key.
func warnings(issued, expires time.Time) int {
	n := 0
	for _, days := range warnDays {
		if expires.Sub(issued) > time.Duration(days)*24*time.Hour {
			n++
		}
	}
	return n
}
