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

// CheckRequest refuses requests that no proxy of ace passes on.
//
// These are CONNECT, TRACE, a target that is not a path, and a malformed WebSocket handshake. Any other offer to upgrade is
// optional for the client and is dropped from r (RFC 9110 section 7.8). Ambiguous paths are not refused here but by the
// catalogue, where rules decide.
func CheckRequest(r *http.Request) error {
	if Refused(r.Method) {
		return bridge.E(bridge.NotAllowed, bridge.CodeMethodNotAllowed, "the method %s is not accepted", r.Method)
	}
	if !strings.HasPrefix(r.URL.Path, "/") {
		return bridge.E(bridge.Invalid, bridge.CodePathMalformed, "the target of the request is not a path")
	}
	if len(r.Header["Upgrade"]) == 0 {
		return nil
	}
	if r.ProtoMajor != 1 || len(r.Header["Upgrade"]) != 1 || !strings.EqualFold(strings.TrimSpace(r.Header["Upgrade"][0]), "websocket") {
		dropUpgrade(r.Header)
		return nil
	}
	if !websocketRequest(r) {
		return bridge.E(bridge.Invalid, bridge.CodeUpgradeRefused, "the WebSocket handshake is malformed (RFC 6455 section 4.1)")
	}
	return nil
}

// Refused reports whether a method is never passed on, in any spelling.
func Refused(method string) bool {
	return strings.EqualFold(method, http.MethodConnect) || strings.EqualFold(method, http.MethodTrace)
}

// dropUpgrade removes an offer to upgrade, and the options in the Connection header that announce it.
func dropUpgrade(h http.Header) {
	delete(h, "Upgrade")
	delete(h, "Http2-Settings")
	var options []string
	for option := range strings.SplitSeq(strings.Join(h["Connection"], ","), ",") {
		option = strings.TrimSpace(option)
		if option != "" && !strings.EqualFold(option, "upgrade") && !strings.EqualFold(option, "http2-settings") {
			options = append(options, option)
		}
	}
	if delete(h, "Connection"); len(options) > 0 {
		h["Connection"] = []string{strings.Join(options, ", ")}
	}
}

// websocketRequest reports whether r is a well-formed opening handshake (RFC 6455 section 4.1). Any other upgrade would open
// a raw pipe past the guard.
func websocketRequest(r *http.Request) bool {
	return r.Method == http.MethodGet && websocketKey(r.Header.Values("Sec-Websocket-Key")) &&
		r.Header.Get("Sec-Websocket-Version") == "13" && r.ContentLength == 0 && len(r.TransferEncoding) == 0
}

// websocketKey reports whether values is a single base64 key of 16 bytes.
func websocketKey(values []string) bool {
	if len(values) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(values[0])
	return err == nil && len(key) == 16
}

// StripInbound removes the headers that an app must not see from outside.
//
// These are everything that looks like an identity header, headers that change the method or path (X-HTTP-Method-Override
// and the like), and the credential itself in any header that can carry one.
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

// bodyOf returns the function with which a rule reads the body of a request. The body is read at most once.
func bodyOf(w http.ResponseWriter, r *http.Request, most int64) func() ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return noBody // most requests
	}
	return (&bodyReader{w: w, r: r, most: most}).read
}

// forRules returns a request as rules see it. Its body is read up to so many bytes if they ask for it, and put back.
func forRules(w http.ResponseWriter, r *http.Request, most int64) catalogue.Request {
	return catalogue.Request{Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Header: r.Header, Length: r.ContentLength,
		Body: bodyOf(w, r, most), Watch: watchOf(r)}
}

// RequireOwnMethod refuses a request from which some apps take another method or path than its own: by a header such as
// X-HTTP-Method-Override, or by a parameter _method of its query or form. It is for callers that decide by method and path
// without a [Guard]'s rules.
func RequireOwnMethod(w http.ResponseWriter, r *http.Request) error {
	return catalogue.RequireOwnMethod(forRules(w, r, defaultMaxBody))
}

// watchOf returns a function that inserts a reader in front of the request's body.
func watchOf(r *http.Request) func(through func(io.Reader) io.Reader) {
	return func(through func(io.Reader) io.Reader) {
		r.Body = struct {
			io.Reader
			io.Closer
		}{through(r.Body), r.Body}
	}
}

func noBody() ([]byte, error) { return nil, nil }

// bodyReader reads a body for a rule, once, and puts it back for the app.
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
