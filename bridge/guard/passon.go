package guard

import (
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/acebridge/ace/bridge"
)

// SentPath is the path of a request, byte for byte as the client sent it. A '#', which no target may hold, is encoded.
func SentPath(r *http.Request) string {
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	if rest, absolute := strings.CutPrefix(raw, r.URL.Scheme+"://"+r.URL.Host); absolute && r.URL.Host != "" {
		raw = rest
	}
	// A handler in front may have changed the URL; and what net/url reads otherwise was not sent so.
	if plain, err := url.PathUnescape(raw); err != nil || plain != r.URL.Path || raw == "" || strings.Contains(raw, "#") {
		return r.URL.EscapedPath()
	}
	return raw
}

// Aim points a request that is passed on at a path below base, which keeps its bytes, as does the query: nobody here reads
// them, so that nobody reads them in another way than the app does.
func Aim(p *httputil.ProxyRequest, base *url.URL, path string) {
	path = strings.TrimSuffix(base.EscapedPath(), "/") + path
	plain, err := url.PathUnescape(path)
	if err != nil {
		plain = path // cannot be: net/url has parsed it
	}
	out := &url.URL{Scheme: base.Scheme, Host: base.Host, Path: plain, RawPath: path, RawQuery: p.In.URL.RawQuery, ForceQuery: p.In.URL.ForceQuery}
	if out.EscapedPath() != path { // net/url would encode what it takes for wrong
		out.Opaque = path
		if strings.HasPrefix(path, "//") { // which net/url would take for a host
			out.Opaque = "//" + base.Host + path
		}
	}
	p.Out.URL = out
}

// Climbs reports whether a reader of an escaped path could find a dot segment in it, with which it leads out of what it is
// below.
func Climbs(escaped string) bool {
	if !strings.Contains(escaped, ".") && !strings.Contains(escaped, "%") {
		return false // as nearly all do
	}
	for segment := range strings.SplitSeq(climbing.Replace(strings.ToLower(escaped)), "/") {
		if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
			return true
		}
	}
	return false
}

var climbing = strings.NewReplacer("%2e", ".", "%2f", "/", "%5c", "/", "\\", "/", "%3b", ";")

// ErrClimbs is the refusal of a path that [Climbs].
var ErrClimbs error = bridge.E(bridge.Invalid, bridge.CodePathAmbiguous,
	"the path can be read in more than one way: it has dot segments")

// PassTrailer passes on the trailers that the client has announced, less what strip removes. What it sends beside them does
// not pass.
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

// EndedBody calls Ended when a body has ended, as its trailers are there then.
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

// stripTrailer removes from a request's trailers, when they have come, what an app must not see as a header.
func stripTrailer(r *http.Request) {
	if len(r.Trailer) == 0 || r.Body == nil {
		return
	}
	StripInbound(r.Trailer)
	r.Body = &EndedBody{r.Body, func() { StripInbound(r.Trailer) }}
}
