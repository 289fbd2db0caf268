package api

import (
	"net/http"
	"strconv"
)

// Headers in which a server tells a cloud how many changes its database has seen.
const (
	HeaderGeneration = "X-Ace-Generation" // the number of the last change
	HeaderRestored   = "X-Ace-Restored"   // the number at which a restored database was last accepted
)

// ChangeNumbers reads both numbers from a response; a header that is absent or unreadable gives 0.
func ChangeNumbers(h http.Header) (last, restored int64) {
	return changeNumber(h, HeaderGeneration), changeNumber(h, HeaderRestored)
}

// maxNumber bounds a number from outside, so that adding to it cannot overflow.
const maxNumber = 1 << 50

func changeNumber(h http.Header, name string) int64 {
	n, err := strconv.ParseInt(h.Get(name), 10, 64)
	if err != nil || n < 0 || n > maxNumber {
		return 0
	}
	return n
}
