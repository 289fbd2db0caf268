package term

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
)

// proxyVariables may hold a user and a password.
var proxyVariables = []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"}

// secretFlags are the flags that take a secret.
var secretFlags = []string{"token", "api-key", "key", "secret", "password", "otp", "code"}

// leastSecret is the shortest secret to look for in messages. Shorter text occurs by chance.
const leastSecret = 6

// pemStart begins a private key or certificate in a file.
const pemStart = "-----BEGIN "

// Without returns the error with secrets removed from its texts. It removes the secrets that the command was given, and words
// that may be secrets pasted into the wrong place.
func (t *Terminal) Without(e *bridge.Error) *bridge.Error {
	c := *e
	secrets := t.secrets()
	c.Detail, c.Hint = redact(e.Detail, secrets), redact(e.Hint, secrets)
	return &c
}

// secrets lists the secrets that the command was given, longest first.
func (t *Terminal) secrets() []string {
	var out []string
	add := func(text string) {
		pieces := strings.Fields(text)
		if strings.Contains(text, pemStart) { // its first line has words in it that messages have as well
			pieces = strings.Split(text, "\n")
		}
		for _, piece := range append(pieces, text, strings.TrimSpace(text)) {
			quoted := strconv.Quote(piece)
			out = append(out, piece, quoted[1:len(quoted)-1])
		}
	}
	for _, name := range proxyVariables {
		add(userinfo(os.Getenv(name)))
	}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if slices.Contains(t.SecretVariables, name) || strings.HasPrefix(name, "ACE_") && MayBeSecret(value) {
			add(value)
			add(userinfo(value))
		}
	}
	for i, word := range t.Typed {
		flag, value, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
		switch {
		case strings.HasPrefix(word, "-") && slices.Contains(secretFlags, flag):
			if !given && i+1 < len(t.Typed) {
				value = t.Typed[i+1]
			}
			if !strings.HasPrefix(value, "file:") {
				add(value)
			}
		case strings.HasPrefix(word, "-") && given && MayBeSecret(value):
			add(value)
		case MayBeSecret(word):
			add(strings.TrimPrefix(strings.TrimLeft(word, "-"), "file:"))
		}
		add(userinfo(word))
	}
	out = slices.DeleteFunc(out, func(s string) bool { return len(s) < leastSecret })
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(out)
}

var (
	secretShapes = regexp.MustCompile(`(?i)ace_[a-z0-9]{1,10}_[0-9a-z]{12,}|ace_(?:cs1|jt1)\.[^\s"]+|eyJ[0-9A-Za-z_-]{8,}(?:\.[0-9A-Za-z_-]*){0,2}`)
	userPart     = regexp.MustCompile(`//[^/\s"'@]+@`)
)

// redact removes secrets from a text: the given ones, and look-alikes. Case does not matter. Keys, tokens and the user part of
// a URL look like secrets.
func redact(text string, secrets []string) string {
	for _, s := range secrets {
		if i := strings.Index(strings.ToLower(text), strings.ToLower(s)); i >= 0 {
			text = regexp.MustCompile(`(?i)`+regexp.QuoteMeta(s)).ReplaceAllLiteralString(text, bridge.Redacted)
		}
	}
	text = secretShapes.ReplaceAllLiteralString(text, bridge.Redacted)
	return userPart.ReplaceAllLiteralString(text, "//"+bridge.Redacted+"@")
}

// userinfo returns a URL's password or user, even if it is malformed.
func userinfo(s string) string {
	i, j := strings.Index(s, "://"), strings.LastIndexByte(s, '@')
	if i < 0 || j < i {
		return ""
	}
	_, password, found := strings.Cut(s[i+3:j], ":")
	if found {
		return password
	}
	return s[i+3 : j]
}

// MayBeSecret reports whether a word looks like a secret. Keys, tokens, URLs with a user and random text do.
func MayBeSecret(word string) bool {
	if strings.Contains(word, pemStart) || secretShapes.MatchString(word) || userinfo(word) != "" {
		return true
	}
	for _, start := range []string{"/", "./", "../", "~/"} {
		if strings.HasPrefix(word, start) { // a path
			return false
		}
	}
	if strings.Contains(word, ".") || strings.Contains(word, "://") { // the hosts of some providers are random in part
		return false
	}
	return slices.ContainsFunc(strings.FieldsFunc(word, notRandom), random)
}

// notRandom reports whether random text never holds a character. Random text is hex, base32, base58, base62 or base64url.
func notRandom(r rune) bool {
	return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_'
}

// random reports whether text looks random. Letters, digits and cases alternate more often there than in words.
func random(s string) bool {
	const often = 5 // once in so many characters
	if _, err := uuid.Parse(s); err == nil || len(s) < leastRandom {
		return false
	}
	return changes(s)*often >= len(s)
}

// leastRandom is the least length of what is taken for random text.
const leastRandom = 20

// changes counts where letters follow digits, digits letters, or upper case lower case.
func changes(s string) int {
	n := 0
	for i := 1; i < len(s); i++ {
		before, after := rune(s[i-1]), rune(s[i])
		switch {
		case unicode.IsDigit(before) != unicode.IsDigit(after) && unicode.IsLetter(before) != unicode.IsLetter(after),
			unicode.IsLower(before) && unicode.IsUpper(after):
			n++
		}
	}
	return n
}
