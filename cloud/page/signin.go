package page

import (
	"strings"

	"github.com/acebridge/ace/bridge"
)

// Sentences is an error as a page says it: what is wrong, and what to do.
func Sentences(e *bridge.Error) string {
	out := ""
	for _, s := range []string{e.Detail, e.Hint} {
		if s != "" {
			out += " " + strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
		}
	}
	return strings.TrimSpace(out)
}
