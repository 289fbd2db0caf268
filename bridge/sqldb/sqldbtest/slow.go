package sqldbtest

import (
	"os"
	"strconv"
	"time"
)

// usualSlow is how much longer than promised a thing may take where the machine does other work beside the test.
const usualSlow = 5

// Slow is the real deadline of what is promised within d: so many times as long as ACE_TEST_SLOW says.
func Slow(d time.Duration) time.Duration {
	factor, err := strconv.ParseFloat(os.Getenv("ACE_TEST_SLOW"), 64)
	if err != nil || factor < 1 {
		factor = usualSlow
	}
	return time.Duration(float64(d) * factor)
}
