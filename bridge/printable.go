package bridge

import (
	"strings"
	"unicode"
)

// Printable is a text of somebody else's without what could move the cursor or colour a terminal.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' {
			return '�'
		}
		return r
	}, s)
}
