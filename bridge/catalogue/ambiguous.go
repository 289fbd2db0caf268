package catalogue

import (
	"bytes"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/acebridge/ace/bridge"
)

const encodedSlashAllow = "allow"

// cuts are spellings at which some parsers end a path, or one of its segments, and others do not.
var cuts = []string{";", "?", "#", "\\", "%3b", "%3f", "%23", "%5c", "%2e"}

// readPath splits an escaped path into decoded segments, and refuses a path that another parser may read differently.
func (c Catalogue) readPath(escaped string) ([]string, error) {
	slash := c.file.EncodedSlash == encodedSlashAllow
	decoded, err := url.PathUnescape(escaped)
	if err != nil || !strings.HasPrefix(escaped, "/") || ambiguous(escaped, slash) {
		return nil, bridge.E(bridge.Invalid, bridge.CodePathAmbiguous,
			"the path can be read in more than one way: it has dot segments, empty segments, an encoded slash, an encoded ? or #, a backslash, a semicolon or the like: %q",
			bridge.Clip(escaped, maxShown))
	}
	if !slash {
		return split(decoded), nil
	}
	parts := split(escaped)
	for i := range parts {
		parts[i], _ = url.PathUnescape(parts[i]) // cannot fail: the whole path could be unescaped
	}
	return parts, nil
}

// Ambiguous reports whether another parser may read an escaped path differently, so that nothing should be decided by it.
func Ambiguous(escaped string) bool {
	_, err := Catalogue{}.readPath(escaped)
	return err != nil
}

// maxRounds is how often a text is decoded: an app may decode twice, and so may a proxy in front of it.
const maxRounds = 4

// ambiguous reports whether an escaped path, or a repeated decoding of it, can be read in two ways.
func ambiguous(path string, slash bool) bool {
	for range maxRounds {
		var bad bool
		if path, bad = ambiguousOnce(path, slash); bad {
			return true
		}
		next := unescape(path)
		if next == path {
			return false
		}
		path = next
	}
	return true
}

// ambiguousOnce does one round. It returns the path in lower case; with slash, %2f becomes an ordinary character.
func ambiguousOnce(path string, slash bool) (string, bool) {
	if !bridge.PlainText(path, len(path)) {
		return "", true
	}
	lower := strings.ToLower(path)
	if slash {
		for piece := range strings.SplitSeq(strings.ReplaceAll(lower, "%2f", "/"), "/") {
			if piece == "." || piece == ".." {
				return "", true
			}
		}
		lower = strings.ReplaceAll(lower, "%2f", "-")
	}
	if isASCII(lower) {
		return lower, cutSomewhere(lower)
	}
	same := norm.NFKC.String(lower) // turns a fullwidth slash into a slash
	return lower, cutSomewhere(lower) || cutSomewhere(same) ||
		strings.Count(same, "/") != strings.Count(lower, "/") || strings.Count(same, "%") != strings.Count(lower, "%")
}

// cutSomewhere reports whether a path, in lower case, contains anything that a parser may cut or skip.
func cutSomewhere(lower string) bool {
	if bridge.AmbiguousPath(lower) {
		return true
	}
	for _, cut := range cuts {
		if strings.Contains(lower, cut) {
			return true
		}
	}
	return strings.Contains(lower, "%0") || strings.Contains(lower, "%1") || strings.Contains(lower, "%7f")
}

// unescape decodes complete escapes and leaves broken ones alone.
func unescape(s string) string {
	at := strings.IndexByte(s, '%')
	if at < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if b, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(b))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// nearly reports whether two segments look equal to a reader that ignores case or Unicode form.
func nearly(a, b string) bool {
	if !isASCII(a) || !isASCII(b) {
		a, b = norm.NFKC.String(a), norm.NFKC.String(b)
	}
	return strings.EqualFold(a, b) || folded(a) == folded(b)
}

// folded maps to upper and then to lower case, which merges letters such as 'i' and the dotless 'ı'.
func folded(s string) string { return strings.ToLower(strings.ToUpper(s)) }

// readings returns the ways in which careless readers may read a parameter's name: decoded again, cut at a NUL, without
// invisible characters, and without an index in brackets.
func readings(name string) []string {
	out := []string{name}
	for range maxRounds {
		for _, r := range []string{name, strings.ReplaceAll(name, "\x00", "")} {
			if r = bridge.Visible(r); !isASCII(r) {
				r = norm.NFKC.String(r)
			}
			bare, _, _ := strings.Cut(r, "[")
			out = append(out, r, bare)
		}
		next := unescape(name)
		if next == name {
			break
		}
		name = next
	}
	return out
}

// overridesMethod reports whether some apps take a parameter for an override of the method: _method, in any spelling.
func overridesMethod(name string) bool {
	return slices.ContainsFunc(readings(name), func(r string) bool { return bridge.FoldHeader(r) == "-method" || Overrides(r) })
}

// checkParameters refuses a query or a form with a parameter that overrides the method.
func checkParameters(r Request) error {
	if overridesIn(r.RawQuery) {
		return overrideIn("query")
	}
	// Without a body there is nothing to check: forward-auth does not see it.
	if r.Body == nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	for _, contentType := range r.Header.Values("Content-Type") {
		kind, params, _ := mime.ParseMediaType(contentType)
		if kind == "" {
			kind = strings.ToLower(contentType)
		}
		switch {
		case strings.Contains(kind, "x-www-form-urlencoded"):
			raw, err := r.Body()
			if err != nil {
				return err
			}
			if overridesIn(string(raw)) {
				return overrideIn("form")
			}
		case strings.HasPrefix(kind, "multipart/") && (r.Length < 0 || r.Length > maxMultipart):
			if err := checkLongForm(r, contentType, params["boundary"]); err != nil {
				return err
			}
		case strings.HasPrefix(kind, "multipart/"):
			raw, err := r.Body()
			if err != nil {
				return err
			}
			if overridesInParts(raw, params["boundary"]) {
				return overrideIn("form")
			}
		}
	}
	return nil
}

// overrideIn is the refusal of a parameter that overrides the method.
func overrideIn(where string) error {
	return refuse(bridge.CodeOverrideParameter, "the parameter _method of the %s could make the app treat the request as a different one",
		where)
}

// overridesIn checks every name that some parser may find in a query or a form, including those separated by ';'.
func overridesIn(encoded string) bool {
	if encoded == "" {
		return false
	}
	for pair := range strings.FieldsFuncSeq(encoded, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if overridesMethod(name) {
			return true
		}
	}
	return false
}

// extendedName finds name*, which some readers take for the part's name and others ignore (RFC 7578 does not have it).
var extendedName = regexp.MustCompile(`(?i)(?:^|[;\s])name\*`)

// overridesInParts is overridesIn for a multipart form.
func overridesInParts(raw []byte, boundary string) bool {
	parts := multipart.NewReader(bytes.NewReader(raw), boundary)
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			// What is not a form to this reader may be one to another.
			return bytes.Contains(bytes.ToLower(raw), []byte("_method")) && err.Error() != "EOF"
		}
		dispositions := part.Header.Values("Content-Disposition")
		if overridesMethod(part.FormName()) || len(dispositions) > 1 || extendedName.MatchString(part.Header.Get("Content-Disposition")) {
			return true
		}
	}
}

// checkName refuses the name of an operation that a log or another reader could take for a different one.
func checkName(name string) error {
	if name == "" || !bridge.PlainText(name, maxName) || bridge.OneForm(name) != name {
		return refuse(bridge.CodeOperationMalformed,
			"the name of the operation is empty, too long, has control characters, or is not in NFC: %q", bridge.Clip(name, maxShown))
	}
	return nil
}

const maxName = 256
