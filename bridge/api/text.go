package api

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/acebridge/ace/bridge"
)

var errText = bridge.E(bridge.Invalid, bridge.CodeTextMalformed, "the request contains a NUL byte, or text that is not UTF-8").
	WithHint("send text as UTF-8, without NUL bytes")

// isText reports whether a database column can hold s: PostgreSQL takes only UTF-8 without NUL.
func isText(s string) bool { return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) }

// CheckText refuses form or query values that are not text.
//
// Text is UTF-8 without NUL, since PostgreSQL stores nothing else.
func CheckText(values url.Values) error {
	for name, all := range values {
		for _, value := range append(all, name) {
			if !isText(value) {
				return errText
			}
		}
	}
	return nil
}

// checkURL refuses a request whose unescaped path or query is not text.
func checkURL(r *http.Request) error {
	if !isText(r.URL.Path) {
		return errText
	}
	if r.URL.RawQuery == "" {
		return nil
	}
	return CheckText(r.URL.Query())
}

// jsonNUL matches JSON's only spelling of NUL (RFC 8259 section 7). Invalid UTF-8 becomes U+FFFD when decoded.
var jsonNUL = regexp.MustCompile(`(?:^|[^\\])(?:\\\\)*\\u0000`)
