package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/acebridge/ace/bridge"
)

type (
	overKey    struct{}
	joiningKey struct{}
)

// Over reports whether a request came over a link, and of which API key.
func Over(ctx context.Context) (keyID string, over bool) {
	keyID, over = ctx.Value(overKey{}).(string)
	return keyID, over
}

// RequireDirect refuses a request that came over a link, for endpoints that are for callers of the server itself.
func RequireDirect(ctx context.Context) error {
	if _, over := Over(ctx); !over {
		return nil
	}
	return bridge.E(bridge.Forbidden, bridge.CodeLinkForbidden, "this endpoint is not for requests over a link").
		WithHint("call the server itself")
}

// join is a join that is under way. It travels in the context of its exchange.
type join struct {
	pin string
	row *row // the link that the exchange has made; nil before
}

func joinOf(ctx context.Context) *join {
	j, _ := ctx.Value(joiningKey{}).(*join)
	return j
}

// door is the way in of what comes over the links of a key.
type door struct {
	keyID string
	allow Allow
	next  http.Handler
}

// ServeHTTP implements [http.Handler].
func (d door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := d.allow.Check(w, r); err != nil {
		refuse(w, r, err)
		return
	}
	d.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), overKey{}, d.keyID)))
}

// inProcess sends the requests of a join to a handler of this process.
type inProcess struct {
	handler http.Handler
	join    *join
}

const maxInProcess = 1 << 20 // bytes of an answer

// RoundTrip implements [http.RoundTripper].
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(context.WithValue(r.Context(), joiningKey{}, p.join))
	in.RemoteAddr, in.RequestURI = "join", in.URL.RequestURI()
	in.Host = r.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	out := &answer{header: http.Header{}, status: http.StatusOK}
	p.handler.ServeHTTP(out, in)
	return &http.Response{StatusCode: out.status, Status: http.StatusText(out.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: out.header, Body: io.NopCloser(&out.body), ContentLength: int64(out.body.Len()), Request: r}, nil
}

// answer is a response in memory.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	begun  bool
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if !a.begun {
		a.begun, a.status = true, status
	}
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.body.Len()+len(p) > maxInProcess {
		return 0, errors.New("the answer is too long")
	}
	return a.body.Write(p)
}
