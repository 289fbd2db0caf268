package api

import (
	"net/http"
	"strconv"
)

// Headers with which a server tells a cloud the numbers of its changes.
const (
	HeaderGeneration = "X-Ace-Generation" // of the last one
	HeaderRestored   = "X-Ace-Restored"   // at which a database that had lost changes was last accepted
)

// ChangeNumbers are what the headers of an answer say; zero where they say nothing that can be read.
func ChangeNumbers(h http.Header) (last, restored int64) {
	return changeNumber(h, HeaderGeneration), changeNumber(h, HeaderRestored)
}

// maxNumber bounds a number that somebody else says, so that adding to it never overflows.
const maxNumber = 1 << 50

func changeNumber(h http.Header, name string) int64 {
	n, err := strconv.ParseInt(h.Get(name), 10, 64)
	if err != nil || n < 0 || n > maxNumber {
		return 0
	}
	return n
}
