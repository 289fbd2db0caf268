package main

import (
	"testing"
	"time"
)

func TestDrainVariable(t *testing.T) {
	for _, c := range []struct {
		value    string
		loopback bool
		want     time.Duration
		wrong    bool
	}{
		{"", true, 0, false}, {"", false, 3 * time.Second, false}, {"10s", true, 10 * time.Second, false}, {"0s", false, 0, false},
		{"1", false, 0, true}, {"-1s", false, 0, true}, {"1h", false, 0, true}, {"soon", true, 0, true},
	} {
		var wrong []string
		if got := (&CommonEnv{Drain: c.value}).drain(c.loopback, &wrong); (len(wrong) > 0) != c.wrong || !c.wrong && got != c.want {
			t.Errorf("%q: %s %q", c.value, got, wrong)
		}
	}
}
