package record

import "time"

// WarnDays are how long before its end the holder and the operator are told that a key will expire.
var WarnDays = [...]int64{1, 7, 30}

// SecondsPerDay is the length of a day.
const SecondsPerDay = 24 * 60 * 60

// Warnings is how many of warnDays are shorter than the whole life of a key.
func Warnings(issued, expires time.Time) int {
	n := 0
	for _, days := range WarnDays {
		if expires.Sub(issued) > time.Duration(days)*24*time.Hour {
			n++
		}
	}
	return n
}
