package api

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/acebridge/ace/bridge"
)

// Problem is an error on the wire: application/problem+json (RFC 9457).
//
// It has a stable code and, if there is one, the command that fixes the problem. "type" is omitted, which means about:blank.
type Problem struct {
	Title     string      `json:"title"`
	Status    int         `json:"status"`
	Code      bridge.Code `json:"code"`
	Detail    string      `json:"detail"`
	Hint      string      `json:"hint,omitempty"`
	RequestID string      `json:"request_id,omitempty"`
}

// ContentTypeProblem is the media type of a [Problem].
const ContentTypeProblem = "application/problem+json"

// Status returns the HTTP status of an error.
func Status(err error) int { return bridge.AsError(err).Kind.Status() }

// WriteProblem answers a request with an error. Causes that the error hides are not sent.
func WriteProblem(w http.ResponseWriter, err error) {
	e, status := bridge.AsError(err), Status(err)
	h := w.Header()
	if h.Get("WWW-Authenticate") == "" {
		challenge(h, status, e)
	}
	SetRetryAfter(h, e)
	h.Set("Content-Type", ContentTypeProblem)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(problemOf(err, h.Get(HeaderRequestID)))
}

func problemOf(err error, requestID string) Problem {
	e, status := bridge.AsError(err), Status(err)
	return Problem{Title: http.StatusText(status), Status: status, Code: e.Code, Detail: e.Detail, Hint: e.Hint, RequestID: requestID}
}

// Headers that carry a refusal to a proxy that asked about a request: the [Problem] and its status.
const (
	HeaderRefusal       = "X-Ace-Refusal"
	HeaderRefusalStatus = "X-Ace-Refusal-Status"
)

const maxRefusal = 8 << 10

// SetRefusal puts an error into response headers, for a proxy that drops the body.
func SetRefusal(h http.Header, err error) {
	p := problemOf(err, h.Get(HeaderRequestID))
	line, _ := json.Marshal(p)
	if len(line) > maxRefusal {
		p.Detail, p.Hint = p.Title, ""
		line, _ = json.Marshal(p)
	}
	h.Set(HeaderRefusal, string(line))
	h.Set(HeaderRefusalStatus, strconv.Itoa(p.Status))
}

// SetRetryAfter sets Retry-After if the error knows when to retry.
func SetRetryAfter(h http.Header, err error) {
	if e := bridge.AsError(err); e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(bridge.WholeSeconds(e.RetryAfter)/time.Second)))
	}
}

// challenge writes WWW-Authenticate as in RFC 6750 section 3.1: just the scheme if there was no credential, invalid_token
// whatever is wrong with one, and the scope that it lacks.
func challenge(h http.Header, status int, e *bridge.Error) {
	switch {
	case status == http.StatusUnauthorized && e.Code == bridge.CodeCredentialMissing:
		h.Set("WWW-Authenticate", `Bearer realm="ace"`)
	case status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="ace", error="invalid_token"`)
	case status == http.StatusForbidden && e.Scope != "":
		h.Set("WWW-Authenticate", `Bearer realm="ace", error="insufficient_scope", scope="`+string(e.Scope)+`"`)
	}
}

// MaxProblem bounds the body of an error response, in bytes.
const MaxProblem = 64 << 10

// ReadProblem turns an unsuccessful response back into the original error.
//
// It reads the body but does not close it. Anything but a problem document becomes an error that names the status.
func ReadProblem(resp *http.Response) error {
	kind, ok := bridge.KindOfStatus(resp.StatusCode)
	if !ok {
		kind = bridge.Invalid
		if resp.StatusCode >= 500 {
			kind = bridge.Internal
		}
	}
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType == ContentTypeProblem {
		var p Problem
		body := io.LimitReader(resp.Body, MaxProblem)
		if err := json.NewDecoder(body).Decode(&p); err == nil && p.Code != "" {
			e := bridge.Error{Kind: kind, Code: p.Code, Detail: p.Detail, Hint: p.Hint}
			if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
				e.RetryAfter = time.Duration(s) * time.Second
			}
			return &e
		}
	}
	host := ""
	if resp.Request != nil {
		host = resp.Request.URL.Host
	}
	return bridge.E(kind, bridge.CodeOfStatus(resp.StatusCode), "%s answered %d %s", host, resp.StatusCode,
		http.StatusText(resp.StatusCode))
}
