package bridge

import (
	"net/mail"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// MaxEmail is the longest e-mail address, in bytes.
const MaxEmail = 200

// CanonicalEmail returns the one spelling of an e-mail address that is stored, compared and mailed to.
//
// The local part is lower case and NFC, as RFC 8265 section 3.3 compares names; the domain is in A-labels (RFC 5890).
func CanonicalEmail(s string) (string, error) {
	malformed := E(Invalid, CodeEmailMalformed, "that is not an e-mail address")
	s = OneForm(trimOutside(s))
	address, err := mail.ParseAddress(s)
	if err != nil || address.Address != s || !PlainText(s, MaxEmail) {
		return "", malformed
	}
	at := strings.LastIndexByte(s, '@')
	local, domain := strings.ToLower(s[:at]), strings.ToLower(strings.TrimSuffix(s[at+1:], "."))
	if !isASCII(local) {
		if local, err = precis.UsernameCaseMapped.String(local); err != nil {
			return "", malformed.Because(err)
		}
	}
	if !isASCII(domain) {
		var ok bool
		if domain, ok = CanonicalDomain(domain); !ok {
			return "", malformed
		}
	}
	email := local + "@" + domain
	if again, err := mail.ParseAddress(email); err != nil || again.Address != email || len(email) > MaxEmail {
		return "", malformed
	}
	return email, nil
}

// SameEmail reports whether two texts are the same e-mail address.
func SameEmail(a, b string) bool {
	one, err := CanonicalEmail(a)
	if err != nil {
		return false
	}
	other, err := CanonicalEmail(b)
	return err == nil && one == other
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
