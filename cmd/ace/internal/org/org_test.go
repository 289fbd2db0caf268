package org

import (
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
)

func TestInvitationToken(t *testing.T) {
	for _, c := range []struct{ link, token, cloud string }{
		{"https://cloud.example.com/invite?token=abc", "abc", "https://cloud.example.com"},
		{"http://localhost:7700/invite?token=a-_1", "a-_1", "http://localhost:7700"},
		{"https://example.com/ace/invite?token=abc", "abc", "https://example.com/ace"},
		{"https://cloud.example.com/invite", "", ""},
		{"https://cloud.example.com/verify?token=abc", "", ""},
		{"javascript:/invite?token=abc", "", ""},
		{"abc", "", ""},
		{"https://cloud.example.com/invite?token=" + strings.Repeat("x", 201), "", ""},
	} {
		token, cloud, err := invitationToken(bridge.NewSecret(c.link))
		if token.Reveal() != c.token || string(cloud) != c.cloud || (err == nil) != (c.token != "") {
			t.Errorf("%s: %q of %q, %v", c.link, token.Reveal(), cloud, err)
		}
	}
}

func FuzzInvitationToken(f *testing.F) {
	f.Add("https://cloud.example.com/invite?token=abc")
	f.Add("http://[::1]:7700/x/invite?token=%00&token=b#c")
	f.Fuzz(func(t *testing.T, link string) {
		token, cloud, err := invitationToken(bridge.NewSecret(link))
		if (err == nil) != (!token.IsZero() && cloud != "") {
			t.Errorf("%q: %q of %q, %v", link, token.Reveal(), cloud, err)
		}
		if canonical, cerr := bridge.CanonicalURL(string(cloud)); err == nil && (cerr != nil || canonical != cloud) {
			t.Errorf("%q: the cloud %q is not canonical", link, cloud)
		}
		if err != nil && strings.Contains(err.Error(), "token=") {
			t.Errorf("the error repeats the link: %v", err)
		}
	})
}

func TestAuditTime(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]string{"": "", "24h": "2026-02-28T12:00:00Z", "7d": "2026-02-22T12:00:00Z", "1000000d": "1926-03-26T12:00:00Z", "2026-01-31": "2026-01-31",
		"2026-01-31T08:00:00+01:00": "2026-01-31T08:00:00+01:00"} {
		if got, err := auditTime("--since", value, now); got != want || err != nil {
			t.Errorf("%q is %q (%v), want %q", value, got, err, want)
		}
	}
	for _, value := range []string{"-1h", "0", "d", "-1d", "1.5d", "99999999999999999999d", "31.1.2026", "2026-02-30", "now"} {
		if got, err := auditTime("--since", value, now); err == nil {
			t.Errorf("%q is %q", value, got)
		}
	}
}
