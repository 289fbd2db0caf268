package api

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/acebridge/ace/bridge"
)

var errText = bridge.E(bridge.Invalid, bridge.CodeTextMalformed, "there is a NUL byte in the request, or text that is not UTF-8").
	WithHint("send text as UTF-8, without NUL bytes")

// isText reports whether s is what a column of a database takes: PostgreSQL has neither NUL nor anything but UTF-8.
func isText(s string) bool { return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) }

// CheckText refuses a form, or the parameters of a query, with text that is none.
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

// checkURL refuses a request whose path or query is no text once it is unescaped.
func checkURL(r *http.Request) error {
	if !isText(r.URL.Path) {
		return errText
	}
	if r.URL.RawQuery == "" {
		return nil
	}
	return CheckText(r.URL.Query())
}

// jsonNUL is the one spelling that JSON has for a NUL (RFC 8259 section 7). What is not UTF-8 becomes U+FFFD when it is decoded.
var jsonNUL = regexp.MustCompile(`(?:^|[^\\])(?:\\\\)*\\u0000`)
