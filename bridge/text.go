package bridge

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// OutsideText reads text that comes from outside: stdin, a file, a variable, a form, an argument. White space and line ends
// around it are trimmed and a byte-order mark is dropped. What is not UTF-8 is refused, with its encoding where that shows;
// the error never repeats the text, which may be a secret.
func OutsideText(raw string) (string, error) {
	const again = "save it as UTF-8"
	switch {
	case strings.HasPrefix(raw, "\xff\xfe"), strings.HasPrefix(raw, "\xfe\xff"), looksWide(raw):
		return "", errors.New("it is UTF-16, not UTF-8: " + again)
	case strings.IndexByte(raw, 0) >= 0:
		return "", errors.New("it holds a NUL byte, so that it is not text")
	case !utf8.ValidString(raw):
		return "", errors.New("it is not UTF-8 (Latin-1, perhaps): " + again)
	}
	return trimOutside(raw), nil
}

func trimOutside(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' })
}

// looksWide reports whether every other byte of a text is NUL, as in UTF-16 without a mark.
func looksWide(raw string) bool {
	if len(raw) < 4 || len(raw)%2 != 0 {
		return false
	}
	return (raw[0] == 0 && raw[2] == 0 && raw[1] != 0) || (raw[1] == 0 && raw[3] == 0 && raw[0] != 0)
}

// OneForm is a name in the one Unicode form in which names are kept and compared (NFC).
func OneForm(name string) string { return norm.NFC.String(name) }

// SameName reports whether two names are equal in their one form.
func SameName(a, b string) bool { return a == b || OneForm(a) == OneForm(b) }

// PlainName turns a name from outside into the form to store: trimmed and in the one form. It reports whether that may be
// stored: it has 1 to most bytes and is plain, see [PlainText].
func PlainName(raw string, most int) (string, bool) {
	name := OneForm(trimOutside(raw))
	return name, name != "" && PlainText(name, most)
}

// ShellWord quotes text for a POSIX shell, so that it is one word and nothing in it is acted on.
func ShellWord(s string) string {
	if strings.ContainsAny(s, "\"\\$`!") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return `"` + s + `"`
}

// PlainText reports whether s is valid UTF-8 of at most most bytes without control characters and without characters that
// are not seen, those that change the direction of text among them: fit for a name, a log line and a text column.
//
// The joiners U+200C and U+200D are the exception, between two characters beyond ASCII alone: Persian, Hindi and families
// of emoji need them there.
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

func joins(r rune) bool {
	return r >= utf8.RuneSelf && r != utf8.RuneError && !unseen(r) && r != '\u200c' && r != '\u200d' && !unicode.IsSpace(r)
}

// Visible is a name without white space and invisible characters, up to its first NUL, where some readers stop.
func Visible(name string) string {
	name, _, _ = strings.Cut(name, "\x00")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x7f && unseen(r) || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, name)
}

// unseen reports characters that show as nothing, or that change how others show.
func unseen(r rune) bool {
	switch r {
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u3164', '\uffa0', '\u2800': // fillers, and a blank of Braille
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Noncharacter_Code_Point) ||
		(r >= 0xe0000 && r <= 0xe0fff)
}

const maxShown = 100 // bytes of a value from outside in a message

// Clip bounds a value from outside before it is put into a message.
func Clip(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// StoredText is what a text column takes of a value from outside, which may hold any bytes.
func StoredText(s string, most int) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), most)], "�"), "\x00", "�")
}
