package guard

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
)

// CheckRequest turns away what no rule can be held against: CONNECT and TRACE, a path that can be read in more than one
// way, and every upgrade but a well-formed WebSocket handshake.
func CheckRequest(r *http.Request) error {
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		return bridge.E(bridge.NotAllowed, "method_not_allowed", "the method %s is not taken", r.Method)
	}
	if bridge.AmbiguousPath(r.URL.EscapedPath()) || !strings.HasPrefix(r.URL.Path, "/") {
		return bridge.E(bridge.Invalid, "path_ambiguous",
			"the path can be read in more than one way: it has dot segments, empty segments, an encoded slash or a backslash")
	}
	if len(r.Header["Upgrade"]) > 0 && !websocketRequest(r) {
		return bridge.E(bridge.Invalid, "upgrade_refused", "only a WebSocket upgrade is taken")
	}
	return nil
}

// websocketRequest reports whether r is a well-formed opening handshake (RFC 6455 section 4.1). Any other upgrade, h2c
// among them, would open a raw pipe past the guard.
func websocketRequest(r *http.Request) bool {
	upgrade := r.Header.Values("Upgrade")
	return r.Method == http.MethodGet && r.ProtoMajor == 1 && len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket") &&
		websocketKey(r.Header.Values("Sec-Websocket-Key")) && r.Header.Get("Sec-Websocket-Version") == "13" &&
		r.ContentLength == 0 && len(r.TransferEncoding) == 0
}

// websocketKey reports whether there is one key of 16 bytes in base64.
func websocketKey(values []string) bool {
	if len(values) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(values[0])
	return err == nil && len(key) == 16
}

// StripInbound removes what an app must not see from outside: everything that looks like an identity header, what changes
// how it takes the request, and the credential itself in whichever header it came.
func StripInbound(h http.Header) {
	for name := range h {
		if reserved(name) || catalogue.Overrides(name) {
			delete(h, name)
		}
	}
	delete(h, bridge.HeaderAPIKey)
	for _, v := range h[bridge.HeaderAuthorization] {
		if scheme, _, _ := strings.Cut(v, " "); strings.EqualFold(scheme, "Bearer") {
			delete(h, bridge.HeaderAuthorization)
			break
		}
	}
}

// forwardedHeaders say where a request came from. Apps believe them, so that none passes as a client sent it.
var forwardedHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
	"X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Real-Ip", "True-Client-Ip",
	"X-Client-Ip", "Cf-Connecting-Ip"}

// StripForwarded removes what a client says of where its request came from.
func StripForwarded(h http.Header) {
	for _, name := range forwardedHeaders {
		delete(h, name)
	}
}

// reserved reports whether a header may pass for one of ours: a proxy or an app may take '_' and '.' for '-' and ignore
// case, so the folded name counts.
func reserved(name string) bool { return bridge.FoldsToPrefix(name, "x-ace-") }

// CheckSpelling refuses a header that is none of ours and that a careless app would take for one: X~Ace-Subject, for
// example. It is for where somebody else hands the request on, who may not strip it.
func CheckSpelling(h http.Header) error {
	for name := range h {
		if reserved(name) && !strings.EqualFold(name, bridge.FoldHeader(name)) {
			return bridge.E(bridge.Invalid, "header_ambiguous", "the header %.60q can be taken for one of ace's own", name)
		}
	}
	return nil
}

// bodyOf is how a rule reads the body of a request.
func bodyOf(w http.ResponseWriter, r *http.Request, most int64) func() ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return noBody // as most requests have none
	}
	return (&bodyReader{w: w, r: r, most: most}).read
}

func noBody() ([]byte, error) { return nil, nil }

// bodyReader reads a body for a rule and puts it back for the app.
type bodyReader struct {
	w    http.ResponseWriter
	r    *http.Request
	most int64
	done bool
	data []byte
	err  error
}

func (b *bodyReader) read() ([]byte, error) {
	if !b.done {
		b.data, b.err = b.readAll()
		b.done = true
	}
	return b.data, b.err
}

func (b *bodyReader) readAll() ([]byte, error) {
	data, err := api.ReadBody(b.w, b.r, b.most)
	if err != nil {
		return nil, err
	}
	b.r.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(data), b.r.Body}
	b.r.ContentLength, b.r.TransferEncoding = int64(len(data)), nil
	return data, nil
}
