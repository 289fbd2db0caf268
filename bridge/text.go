package bridge

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// OutsideText cleans text from outside: stdin, a file, a variable, a form, an argument.
//
// It trims white space and drops a byte-order mark. Anything but UTF-8 is an error, which names the actual encoding if that can
// be guessed and never quotes the text, since it may be a secret.
func OutsideText(raw string) (string, error) {
	const again = "save it as UTF-8"
	switch {
	case strings.HasPrefix(raw, "\xff\xfe"), strings.HasPrefix(raw, "\xfe\xff"), looksWide(raw):
		return "", errors.New("it is UTF-16, not UTF-8: " + again)
	case strings.IndexByte(raw, 0) >= 0:
		return "", errors.New("it contains a NUL byte, so it is not text")
	case !utf8.ValidString(raw):
		return "", errors.New("it is not UTF-8 (Latin-1, perhaps): " + again)
	}
	return trimOutside(raw), nil
}

func trimOutside(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' })
}

// looksWide reports whether every other byte is NUL, as in UTF-16 without a byte-order mark.
func looksWide(raw string) bool {
	if len(raw) < 4 || len(raw)%2 != 0 {
		return false
	}
	return (raw[0] == 0 && raw[2] == 0 && raw[1] != 0) || (raw[1] == 0 && raw[3] == 0 && raw[0] != 0)
}

// OneForm returns a name in the Unicode form in which names are stored and compared (NFC).
func OneForm(name string) string { return norm.NFC.String(name) }

// SameName reports whether two names are equal in that form; see [OneForm].
func SameName(a, b string) bool { return a == b || OneForm(a) == OneForm(b) }

// PlainName brings a name from outside into the form to store: trimmed and in NFC.
//
// It reports whether the name may be stored: it has 1 to most bytes and is plain; see [PlainText].
func PlainName(raw string, most int) (string, bool) {
	name := OneForm(trimOutside(raw))
	return name, name != "" && PlainText(name, most)
}

// ShellWord quotes text as one word for a POSIX shell, which acts on nothing in it.
func ShellWord(s string) string {
	if strings.ContainsAny(s, "\"\\$`!") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return `"` + s + `"`
}

// PlainText reports whether s is fit for a name, a log line and a text column.
//
// It must be valid UTF-8 of at most most bytes, without control characters and without invisible ones, such as those that
// change the direction of text.
//
// The joiners U+200C and U+200D are allowed between two characters beyond ASCII: Persian, Hindi and emoji families need them.
func PlainText(s string, most int) bool {
	if len(s) > most || !utf8.ValidString(s) {
		return false
	}
	before := rune(0)
	for i, r := range s {
		switch {
		case r < utf8.RuneSelf:
			if unicode.IsControl(r) {
				return false
			}
		case r == '\u200c' || r == '\u200d':
			after, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):])
			if !joins(before) || !joins(after) {
				return false
			}
		case unseen(r):
			return false
		}
		before = r
	}
	return true
}

// joins reports whether a joiner may stand next to r.
func joins(r rune) bool {
	return r >= utf8.RuneSelf && r != utf8.RuneError && !unseen(r) && r != '\u200c' && r != '\u200d' && !unicode.IsSpace(r)
}

// Visible strips white space and invisible characters from a name, and cuts it at a NUL, where some readers stop.
func Visible(name string) string {
	name, _, _ = strings.Cut(name, "\x00")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x7f && unseen(r) || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, name)
}

// unseen reports whether r is invisible, or changes how other characters are displayed.
func unseen(r rune) bool {
	switch r {
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u3164', '\uffa0', '\u2800': // fillers, and a blank of Braille
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Noncharacter_Code_Point) ||
		(r >= 0xe0000 && r <= 0xe0fff)
}

const maxShown = 100 // bytes of an outside value that are quoted in a message

// Clip shortens a value from outside to at most most bytes, to quote it in a message.
func Clip(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// StoredText makes a value from outside, which may be any bytes, fit for a text column.
func StoredText(s string, most int) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), most)], "�"), "\x00", "�")
}
