package sqldbtest

import (
	"os"
	"strconv"
	"time"
)

// usualSlow is the default factor by which deadlines are stretched, for a machine that is busy with other work.
const usualSlow = 5

// Slow stretches a deadline by the factor in ACE_TEST_SLOW.
func Slow(d time.Duration) time.Duration {
	factor, err := strconv.ParseFloat(os.Getenv("ACE_TEST_SLOW"), 64)
	if err != nil || factor < 1 {
		factor = usualSlow
	}
	return time.Duration(float64(d) * factor)
}
