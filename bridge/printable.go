package bridge

import (
	"strings"
	"unicode"
)

// Printable replaces the characters of s that could move a terminal's cursor or change its colours.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' {
			return '�'
		}
		return r
	}, s)
}
