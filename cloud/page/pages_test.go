package page

import (
	"testing"

	"github.com/acebridge/ace/bridge"
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

func TestSentence(t *testing.T) {
	failed := bridge.E(bridge.Invalid, bridge.CodeFormMalformed, "the form could not be read")
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"what is wrong", failed, "The form could not be read."},
		{"and what to do", failed.WithHint("reload the page"), "The form could not be read. Reload the page."},
		{"a whole sentence", failed.WithHint("Reload the page."), "The form could not be read. Reload the page."},
		{"a question", failed.WithHint("is it the right page?"), "The form could not be read. Is it the right page?"},
		{"a command", failed.WithHint("ace login"), "The form could not be read. In a terminal: `ace login`."},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Sentence(c.err); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
