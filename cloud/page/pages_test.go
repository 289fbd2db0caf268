package page

import (
	"testing"
)

func TestLocalPath(t *testing.T) {
	const front = "/connections"
	for _, c := range []struct{ name, next, want string }{
		{"a page of ours", "/device?user_code=BCDF-GHJK", "/device?user_code=BCDF-GHJK"},
		{"nothing", "", front},
		{"another site", "https://evil.example/", front},
		{"another host", "//evil.example/", front},
		{"three slashes", "///evil.example/", front},
		{"a backslash", `/\evil.example/`, front},
		{"a tab that browsers drop", "/\t/evil.example/", front},
		{"a line break", "/\r\nLocation: x", front},
		{"a script", "javascript:alert(1)", front},
		{"a relative path", "settings", front},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := LocalPath(c.next); got != c.want {
				t.Errorf("localPath(%q) = %q, want %q", c.next, got, c.want)
			}
		})
	}
}
