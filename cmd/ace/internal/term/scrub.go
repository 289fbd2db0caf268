package term

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
)

// Scrubber removes secrets from text that leaves this machine, such as a bundle for support. It goes further than the messages of
// commands do: there, nothing random is removed unless it was given.
type Scrubber struct{ known []string }

// Scrubber returns one that knows the secrets which the command was given, and more: settings, whole or with a secret in them.
func (t *Terminal) Scrubber(more ...string) *Scrubber {
	known := t.secrets()
	add := func(s string) {
		if s = strings.TrimSpace(s); len(s) >= leastSecret {
			known = append(known, s)
		}
	}
	for _, s := range more {
		add(s)
		for part := range strings.SplitSeq(s, ",") { // several keys, for rotation
			add(part)
		}
		for _, password := range passwordsIn(s) {
			add(password)
		}
	}
	slices.SortFunc(known, func(a, b string) int { return len(b) - len(a) })
	return &Scrubber{slices.Compact(known)}
}

// passwordsIn lists the passwords in the URL of a database or a mail server, as they stand there and as they are meant.
func passwordsIn(text string) []string {
	found := []string{userinfo(text)}
	for _, m := range passwordValue.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	for _, password := range slices.Clone(found) {
		if plain, err := url.PathUnescape(password); err == nil {
			found = append(found, plain)
		}
	}
	return found
}

var passwordValue = regexp.MustCompile(`(?i)\bpassword=([^&\s]+)`)

var (
	privateKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`)
	afterName  = regexp.MustCompile(`(?i)((?:(?:password|passwd|cookie|authorization|api-key)"?\s*[=:]\s*|secret"?=|secret"\s*:\s*)"?)(?:(?:bearer|basic) +)?[^\s"\\&,;]+`)
	bearer     = regexp.MustCompile(`(?i)\b(bearer +)[^\s"\\&,;]{8,}`)
	longWord   = regexp.MustCompile(`://[\w.:-]+|ace_pk1\.[\w.-]+|[\w+/=-]{20,}`)
	requestID  = regexp.MustCompile(`^[A-Z2-7]{24}$`) // see api.RequestID: public, and what support asks for
)

// Scrub returns the text without the secrets it knows, and without what looks like one: keys, tokens, passwords, private keys and
// random words.
func (s *Scrubber) Scrub(text string) string {
	text = privateKey.ReplaceAllLiteralString(text, bridge.Redacted)
	text = redact(text, s.known)
	text = afterName.ReplaceAllString(text, "${1}"+bridge.Redacted)
	text = bearer.ReplaceAllString(text, "${1}"+bridge.Redacted)
	return longWord.ReplaceAllStringFunc(text, scrubWord)
}

// scrubWord removes a random word. A word with slashes is a path or base64.
func scrubWord(word string) string {
	if strings.HasPrefix(word, "://") || strings.HasPrefix(word, "ace_pk1.") || requestID.MatchString(word) {
		return word
	}
	pieces := strings.Split(word, "/")
	joined := ""
	for _, piece := range pieces {
		if _, err := uuid.Parse(piece); err != nil {
			joined += strings.Trim(piece, "+=")
		}
	}
	if !randomWord(joined) && !slices.ContainsFunc(pieces, randomWord) {
		return word
	}
	for i, piece := range pieces {
		if _, err := uuid.Parse(piece); err != nil && !plainPiece.MatchString(piece) {
			pieces[i] = bridge.Redacted
		}
	}
	return strings.Join(pieces, "/")
}

// randomWord is random, and sees more in long words: there, chance cannot make a name look random.
func randomWord(s string) bool {
	const long, often = 32, 8
	_, err := uuid.Parse(s)
	return random(s) || err != nil && len(s) >= long && changes(s)*often >= len(s)
}

var plainPiece = regexp.MustCompile(`^[a-z]*$`) // of a path
