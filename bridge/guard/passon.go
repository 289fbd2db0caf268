package guard

import (
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/acebridge/ace/bridge"
)

// SentPath returns the escaped path of a request exactly as the client sent it.
//
// A '#', which a request target must not contain (RFC 9112 section 3.2), comes out encoded.
func SentPath(r *http.Request) string {
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	if rest, absolute := strings.CutPrefix(raw, r.URL.Scheme+"://"+r.URL.Host); absolute && r.URL.Host != "" {
		raw = rest
	}
	// Use the parsed URL instead if a handler in front has changed it, or if net/url reads the raw path differently.
	if plain, err := url.PathUnescape(raw); err != nil || plain != r.URL.Path || raw == "" || strings.Contains(raw, "#") {
		return r.URL.EscapedPath()
	}
	return raw
}

// Aim points a proxied request at path below base, keeping path and query byte for byte.
//
// Nothing in between decodes them, so the app is the only one to interpret them. path must be escaped and begin with '/'.
func Aim(p *httputil.ProxyRequest, base *url.URL, path string) {
	path = strings.TrimSuffix(base.EscapedPath(), "/") + path
	plain, err := url.PathUnescape(path)
	if err != nil {
		plain = path // cannot happen: net/url has parsed it
	}
	out := &url.URL{Scheme: base.Scheme, Host: base.Host, Path: plain, RawPath: path, RawQuery: p.In.URL.RawQuery, ForceQuery: p.In.URL.ForceQuery}
	if out.EscapedPath() != path { // net/url would encode some of it again
		out.Opaque = path
		if strings.HasPrefix(path, "//") { // net/url would take the first segment for a host
			out.Opaque = "//" + base.Host + path
		}
	}
	p.Out.URL = out
}

// Climbs reports whether an escaped path contains anything readable as a dot segment.
//
// Such a path could lead out of the prefix it is below. "%2e", "\", "%2f" and a ";parameter" behind the dots all count,
// since some app decodes them.
func Climbs(escaped string) bool {
	if !strings.Contains(escaped, ".") && !strings.Contains(escaped, "%") {
		return false // almost every path
	}
	for segment := range strings.SplitSeq(climbing.Replace(strings.ToLower(escaped)), "/") {
		if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
			return true
		}
	}
	return false
}

var climbing = strings.NewReplacer("%2e", ".", "%2f", "/", "%5c", "/", "\\", "/", "%3b", ";")

// ErrClimbs refuses a path that [Climbs].
var ErrClimbs error = bridge.E(bridge.Invalid, bridge.CodePathAmbiguous,
	"the path can be read in more than one way: it has dot segments")

// PassTrailer forwards the announced trailers of a request, except those that strip removes.
//
// Trailers that the client did not announce in the Trailer header are dropped (RFC 9110 section 6.6.2).
func PassTrailer(in, out *http.Request, strip func(http.Header)) {
	out.Trailer = nil
	if len(in.Trailer) == 0 || out.Body == nil {
		return
	}
	announced := make(http.Header, len(in.Trailer))
	for name := range in.Trailer {
		announced[name] = nil
	}
	strip(announced)
	out.Trailer = announced
	out.Body = &EndedBody{out.Body, func() {
		for name := range announced {
			announced[name] = in.Trailer[name]
		}
	}}
}

// EndedBody calls Ended once the body has been read to its end, when trailers are available.
type EndedBody struct {
	io.ReadCloser
	Ended func()
}

// Read implements io.Reader.
func (b *EndedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF { //nolint:errorlint // io.Reader promises it as it is
		b.Ended()
	}
	return n, err
}

// stripTrailer removes forbidden headers from a request's trailers once they have arrived.
func stripTrailer(r *http.Request) {
	if len(r.Trailer) == 0 || r.Body == nil {
		return
	}
	StripInbound(r.Trailer)
	r.Body = &EndedBody{r.Body, func() { StripInbound(r.Trailer) }}
}
