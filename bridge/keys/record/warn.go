package record

import "time"

// WarnDays are how many days before its end a key's holder and its operator are warned.
var WarnDays = [...]int64{1, 7, 30}

// SecondsPerDay is the length of a day.
const SecondsPerDay = 24 * 60 * 60

// Warnings returns how many of [WarnDays] are shorter than a key's whole life.
func Warnings(issued, expires time.Time) int {
	n := 0
	for _, days := range WarnDays {
		if expires.Sub(issued) > time.Duration(days)*24*time.Hour {
			n++
		}
	}
	return n
}
