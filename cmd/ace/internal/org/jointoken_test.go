package org

import (
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

func TestJoinLife(t *testing.T) {
	for text, want := range map[string]time.Duration{"1h": time.Hour, "30m": 30 * time.Minute, "1s": time.Second, "7d": 7 * 24 * time.Hour, "30d": api.MaxJoinLife} {
		if got, err := joinLife(text); got != want || err != nil {
			t.Errorf("%q is %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "0d", "-1h", "-1d", "1ms", "31d", "721h", "d", "1.5d", "65536d", "99999999999999999999d", "tomorrow", "never"} {
		if got, err := joinLife(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestFindJoinToken(t *testing.T) {
	tokens := []api.JoinToken{
		{ID: "1", Name: "fleet", State: api.JoinActive}, {ID: "2", Name: "fleet", State: api.JoinExpired}, {ID: "3", State: api.JoinActive},
		{ID: "4", Name: "twice", State: api.JoinActive}, {ID: "5", Name: "twice", State: api.JoinActive}, {ID: "6", Name: "gone", State: api.JoinRevoked},
	}
	for word, want := range map[string]string{"fleet": "1", "2": "2", "3": "3", "5": "5"} {
		if got, err := findJoinToken(tokens, word); got.ID != want || err != nil {
			t.Errorf("%q is %q (%v), want %q", word, got.ID, err, want)
		}
	}
	for word, says := range map[string]string{"flet": `did you mean "fleet"`, "gone": "no active join token", "": "no active join token", "twice": "2 join tokens"} {
		if got, err := findJoinToken(tokens, word); err == nil || !strings.Contains(err.Error(), says) || bridge.AsError(err).Hint == "" {
			t.Errorf("%q is %q (%v)", word, got.ID, err)
		}
	}
}
