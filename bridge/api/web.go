package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api/serving"
)

// Web configures [NewEcho].
type Web struct {
	// TrustedProxies are the networks whose X-Forwarded-For is believed. None: the peer is the client.
	TrustedProxies []netip.Prefix
	// OnError, if set, may answer an error itself, for example with a page; otherwise it is answered as a problem.
	OnError func(c echo.Context, err error) (answered bool)
	// Before runs in order before a request is routed, until one function refuses or answers it. Unlike echo's middleware
	// it allocates no closures per request.
	Before []func(c echo.Context) error
	// Foreign returns the handler for an escaped path that belongs to another server, which gets any method and the path
	// untouched; nil means the path is our own. Our own must be text, since its parameters go to the database.
	Foreign func(path string) echo.HandlerFunc
}

// NewEcho returns an echo with what all our HTTP servers share.
//
// That is: request IDs, client addresses that only trusted proxies can set, a request log, recovery from panics, security
// headers, and one error handler.
func NewEcho(log *slog.Logger, web Web) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = addressOf(web.TrustedProxies)
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		err = fromEcho(err)
		if allow := c.Response().Header().Get(echo.HeaderAllow); strings.Contains(allow, http.MethodGet) {
			c.Response().Header().Set(echo.HeaderAllow, allow+", "+http.MethodHead)
		}
		if web.OnError != nil && web.OnError(c, err) {
			return
		}
		BoundDrain(c.Response(), c.Request())
		WriteProblem(c.Response(), err)
	}
	e.Pre(requestLog(e, log, web))
	return e
}

// fromEcho turns echo's own errors, such as its router's, into ours.
func fromEcho(err error) error {
	if errors.Is(err, context.Canceled) {
		return bridge.E(bridge.Unavailable, bridge.CodeCancelled, "the request was cancelled")
	}
	he, ok := errors.AsType[*echo.HTTPError](err)
	if !ok {
		return err
	}
	switch he.Code {
	case http.StatusNotFound:
		return bridge.E(bridge.NotFound, bridge.CodeNotFound, "there is nothing at this address")
	case http.StatusMethodNotAllowed:
		return bridge.E(bridge.NotAllowed, bridge.CodeMethodNotAllowed, "this address does not accept that method")
	case http.StatusRequestEntityTooLarge:
		return errBody
	}
	kind, known := bridge.KindOfStatus(he.Code)
	if !known {
		kind = bridge.Internal
	}
	return bridge.E(kind, bridge.CodeHTTPError, "%s", http.StatusText(he.Code)).Because(err)
}

// NewRequestID returns a fresh request ID of 24 letters and digits.
//
// People pass it to commands, which would take a leading "-" for a flag. Its 120 bits come from the runtime's ChaCha8
// generator: an ID must be unique but is not secret, so it need not cost what a key does.
func NewRequestID() string {
	const alphabet, bits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 5
	var id [24]byte
	var random uint64
	for i := range id {
		if i%(64/bits) == 0 {
			random = rand.Uint64() //nolint:gosec // see above
		}
		id[i] = alphabet[random%(1<<bits)]
		random >>= bits
	}
	return string(id[:])
}

// SaneRequestID reports whether a request ID from a proxy can be kept.
func SaneRequestID(id string) bool { return saneRequestID.MatchString(id) }

// TakeRequestID returns the request's ID: a trusted proxy's, or a new one. It sets the header on r.
func TakeRequestID(r *http.Request, trusted []netip.Prefix) string {
	id := RequestID(r)
	if id == "" || !FromTrusted(r, trusted) || !SaneRequestID(id) {
		id = NewRequestID()
	}
	r.Header[HeaderRequestID] = []string{id} // not Set: the name is already canonical
	return id
}

var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{7,63}$`)

// noSniff is shared by all responses; its capacity equals its length, so appending copies it.
var noSniff = []string{"nosniff"}

// requestLog gives a request its ID, answers panics and errors, and writes one log line. It logs neither query nor headers,
// which may contain secrets.
func requestLog(e *echo.Echo, log *slog.Logger, web Web) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
			start := time.Now()
			r, h := c.Request(), c.Response().Header()
			id := TakeRequestID(r, web.TrustedProxies)
			h[HeaderRequestID], h["X-Content-Type-Options"] = r.Header[HeaderRequestID], noSniff
			defer func() {
				if p := recover(); p != nil {
					if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it likewise
						logRequest(log, c, id, start, aborted(c.Request()))
						panic(p)
					}
					err = bridge.E(bridge.Internal, bridge.CodeInternal, "something went wrong on our side")
					log.Error("panic", "request_id", id, "panic", p)
				}
				if err = ofTheClient(c.Request(), err); err != nil {
					c.Error(err)
				}
				logRequest(log, c, id, start, err)
			}()
			for _, before := range web.Before {
				if err := before(c); err != nil || c.Response().Committed {
					return err
				}
			}
			return route(e, web, next, c)
		}
	}
}

// errClientGone appears only in the log: the client hung up, so nobody reads the answer.
var errClientGone = bridge.E(bridge.ClientGone, bridge.CodeClientGone, "the client hung up before the answer was complete")

// ofTheClient replaces an error by [errClientGone] if the client hung up, which may surface in many ways: a database, for
// one, reports an interruption.
func ofTheClient(r *http.Request, err error) error {
	if err == nil || r.Context().Err() == nil {
		return err
	}
	if e, known := errors.AsType[*bridge.Error](err); known && e.Kind != bridge.Internal && !errors.Is(err, context.Canceled) {
		return err // refused regardless of the hang-up
	}
	if stopped := serving.Stopped(r.Context()); stopped != nil {
		return stopped
	}
	return errClientGone.Because(err)
}

// aborted says why a response was broken off.
func aborted(r *http.Request) error {
	if err := serving.Stopped(r.Context()); err != nil {
		return err
	}
	if r.Context().Err() != nil {
		return errClientGone
	}
	return bridge.E(bridge.Unreachable, bridge.CodeAnswerCut,
		"the answer broke off: its source did, or what let the request in has died")
}

// route dispatches a request: to another server by any method, to our own routes, and HEAD to the handler of GET.
func route(e *echo.Echo, web Web, next echo.HandlerFunc, c echo.Context) error {
	r := c.Request()
	if web.Foreign != nil {
		if answer := web.Foreign(r.URL.EscapedPath()); answer != nil {
			return answer(c)
		}
	}
	if err := checkURL(r); err != nil {
		return err
	}
	if r.Method != http.MethodHead {
		return next(c)
	}
	e.Router().Find(http.MethodGet, echo.GetPath(r), c)
	return c.Handler()(c)
}

func logRequest(log *slog.Logger, c echo.Context, id string, start time.Time, err error) {
	r, level := c.Request(), slog.LevelInfo
	if !log.Enabled(r.Context(), level) && (err == nil || bridge.AsError(err).Kind != bridge.Internal) {
		return
	}
	const most = 9
	status := c.Response().Status
	if err != nil && bridge.AsError(err).Kind == bridge.ClientGone {
		status = bridge.StatusClientGone
	}
	attrs := append(make([]slog.Attr, 0, most), slog.String("request_id", id), slog.String("method", r.Method),
		slog.String("path", r.URL.Path), slog.Int("status", status), slog.Int64("bytes", c.Response().Size),
		slog.Duration("took", time.Since(start).Round(time.Microsecond)), slog.String("from", c.RealIP()))
	if err != nil {
		e := bridge.AsError(err)
		attrs = append(attrs, slog.String("code", string(e.Code)))
		if e.Err != nil {
			attrs = append(attrs, slog.String("cause", e.Err.Error()))
		}
		if e.Kind == bridge.Internal {
			level = slog.LevelError
		}
	}
	log.LogAttrs(r.Context(), level, "request", attrs...)
}

// RequestID returns the ID of a request that has passed the request log.
func RequestID(r *http.Request) string { return first(r.Header[HeaderRequestID]) }

// first is http.Header.Get without canonicalizing the name again.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

const maxBody = 256 << 10

var errBody = bridge.E(bridge.TooLarge, bridge.CodeBodyTooLarge, "the body of the request is larger than %d KiB", maxBody>>10)

const bodyTimeout = 30 * time.Second

// ReadBody reads a whole request body of at most most bytes within 30 seconds.
//
// The time limit keeps a client from holding a request open by sending a byte at a time. The errors have the codes
// [bridge.CodeBodyTooLarge] and [bridge.CodeBodyUnreadable].
func ReadBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil {
		defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, bridge.E(bridge.TooLarge, bridge.CodeBodyTooLarge, "the body of the request is larger than %d KiB", most>>10)
	}
	if err != nil {
		return nil, bridge.E(bridge.Invalid, bridge.CodeBodyUnreadable, "the body of the request broke off")
	}
	return body, nil
}

const drainTimeout = 3 * time.Second

// BoundDrain limits how long net/http reads the rest of a refused request's body.
//
// Otherwise a client could hold the connection by never sending it. The next request on the connection gets its own deadline.
func BoundDrain(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTimeout))
	}
}

// Decode reads a JSON request body strictly; an empty body is the zero value.
//
// The body must be at most 256 KiB of application/json: one value, with exact names, none repeated and none unknown.
func Decode[T any](c echo.Context) (T, error) {
	var v T
	r := c.Request()
	body, err := ReadBody(c.Response(), r, maxBody)
	if err != nil {
		return v, err
	}
	if len(body) == 0 {
		return v, nil
	}
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		return v, bridge.E(bridge.Invalid, bridge.CodeBodyNotJSON, "the body must be sent as application/json")
	}
	if jsonNUL.Match(body) {
		return v, errText
	}
	if err := bridge.DecodeClosed(body, &v); err != nil {
		return v, bridge.E(bridge.Invalid, bridge.CodeBodyMalformed, "the body is not what is expected here: %s", err)
	}
	return v, nil
}
