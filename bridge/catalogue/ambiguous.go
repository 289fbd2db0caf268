package catalogue

import (
	"bytes"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/acebridge/ace/bridge"
)

const encodedSlashAllow = "allow"

// cuts are what some parsers end a path at, or a segment of it, and others do not.
var cuts = []string{";", "?", "#", "\\", "%3b", "%3f", "%23", "%5c", "%2e"}

// readPath takes an escaped path apart into its decoded segments, and refuses one that another parser may read differently.
func (c Catalogue) readPath(escaped string) ([]string, error) {
	slash := c.file.EncodedSlash == encodedSlashAllow
	decoded, err := url.PathUnescape(escaped)
	if err != nil || !strings.HasPrefix(escaped, "/") || ambiguous(escaped, decoded, slash) {
		return nil, bridge.E(bridge.Invalid, "path_ambiguous",
			"the path can be read in more than one way: it has dot segments, empty segments, an encoded slash, an encoded ? or #, a backslash, a semicolon or the like: %q",
			clip(escaped))
	}
	if !slash {
		return split(decoded), nil
	}
	parts := split(escaped)
	for i := range parts {
		parts[i], _ = url.PathUnescape(parts[i]) // the whole can be unescaped
	}
	return parts, nil
}

func ambiguous(escaped, decoded string, slash bool) bool {
	lower := strings.ToLower(escaped)
	for strings.Contains(lower, "%25") { // an app may decode twice
		lower = strings.ReplaceAll(lower, "%25", "%")
	}
	if slash {
		for piece := range strings.SplitSeq(strings.ReplaceAll(lower, "%2f", "/"), "/") {
			if piece == "." || piece == ".." {
				return true
			}
		}
		lower = strings.ReplaceAll(lower, "%2f", "-")
	}
	if bridge.AmbiguousPath(lower) || !utf8.ValidString(decoded) || strings.ContainsFunc(decoded, unicode.IsControl) {
		return true
	}
	for _, cut := range cuts {
		if strings.Contains(lower, cut) {
			return true
		}
	}
	return strings.Contains(lower, "%0") || strings.Contains(lower, "%1") || strings.Contains(lower, "%7f")
}

// overridesMethod reports whether a parameter changes the method to some apps: _method, however it is written.
func overridesMethod(name string) bool {
	bare, _, _ := strings.Cut(strings.TrimSpace(name), "[")
	return bridge.FoldHeader(bare) == "-method" || Overrides(bare)
}

// checkParameters refuses a query or a form with a parameter that changes the method.
func checkParameters(r Request) error {
	refused := func(where string) error {
		return refuse("override_parameter", "the parameter _method of the %s would change what the app takes the request for", where)
	}
	if overridesIn(r.RawQuery) {
		return refused("query")
	}
	// Without a body there is none to look at: forward-auth does not see it.
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
				return refused("form")
			}
		case strings.HasPrefix(kind, "multipart/") && r.Length <= maxMultipart:
			raw, err := r.Body()
			if err != nil {
				return err
			}
			if overridesInParts(raw, params["boundary"]) {
				return refused("form")
			}
		}
	}
	return nil
}

// maxMultipart is how long a form with files may be that is looked into: longer ones pass on as they come.
const maxMultipart = 1 << 20

// overridesIn looks at every name that a parser may find in a query or a form, ';' between them included.
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

func overridesInParts(raw []byte, boundary string) bool {
	parts := multipart.NewReader(bytes.NewReader(raw), boundary)
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			// What is no form to this reader may be one to another.
			return bytes.Contains(bytes.ToLower(raw), []byte("_method")) && err.Error() != "EOF"
		}
		if overridesMethod(part.FormName()) {
			return true
		}
	}
}

// checkName refuses the name of an operation that a log or another reader may take for another one.
func checkName(name string) error {
	if name == "" || !bridge.PlainText(name, maxName) {
		return refuse("operation_malformed", "the name of the operation is empty, too long, or has control characters: %q", clip(name))
	}
	return nil
}

const maxName = 256
