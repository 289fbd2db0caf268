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

// Web is what the web base of a server and of a cloud has to know.
type Web struct {
	// TrustedProxies are the networks whose X-Forwarded-For counts; none: the peer's address is the client's.
	TrustedProxies []netip.Prefix
	// OnError, where set, may answer an error itself, as a page for example; otherwise it is answered as a problem.
	OnError func(c echo.Context, err error) (answered bool)
	// Before are run one after the other before a request is routed, until one refuses or answers it. Echo's own middleware
	// would do, but makes a function of each for every request.
	Before []func(c echo.Context) error
	// Foreign returns what answers at an escaped path that is another server's, by any method and with path and query as
	// they are; nil where the path is our own, which is refused where it is no text, because its parameters go to the database.
	Foreign func(path string) echo.HandlerFunc
}

// NewEcho returns an echo with what every surface of ours has: request IDs, client addresses that only trusted proxies
// can set, a request log, recovery from panics, security headers, and the one error handler.
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

// fromEcho turns echo's own errors, of its router for example, into ours.
func fromEcho(err error) error {
	if errors.Is(err, context.Canceled) {
		return bridge.E(bridge.Unavailable, bridge.CodeCancelled, "the request was given up")
	}
	he, ok := errors.AsType[*echo.HTTPError](err)
	if !ok {
		return err
	}
	switch he.Code {
	case http.StatusNotFound:
		return bridge.E(bridge.NotFound, bridge.CodeNotFound, "there is nothing at this address")
	case http.StatusMethodNotAllowed:
		return bridge.E(bridge.NotAllowed, bridge.CodeMethodNotAllowed, "this address does not take that method")
	case http.StatusRequestEntityTooLarge:
		return errBody
	}
	kind, known := bridge.KindOfStatus(he.Code)
	if !known {
		kind = bridge.Internal
	}
	return bridge.E(kind, bridge.CodeHTTPError, "%s", http.StatusText(he.Code)).Because(err)
}

// NewRequestID returns a fresh request ID, of letters and digits: people pass it to commands, where a "-" in front would be
// taken for a flag. Its 120 bits come from the runtime's ChaCha8 generator: an ID must not come twice and is no secret, so
// that it need not cost what a key does.
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

// SaneRequestID reports whether a request ID that a proxy sends is to be kept.
func SaneRequestID(id string) bool { return saneRequestID.MatchString(id) }

// TakeRequestID gives a request its ID: the one that a trusted proxy has sent, or a fresh one.
func TakeRequestID(r *http.Request, trusted []netip.Prefix) string {
	id := RequestID(r)
	if id == "" || !FromTrusted(r, trusted) || !SaneRequestID(id) {
		id = NewRequestID()
	}
	r.Header[HeaderRequestID] = []string{id} // Set would look for the canonical spelling of what has it already
	return id
}

var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{7,63}$`)

// noSniff, as every slice of values here that answers share, has no room: who adds a value gets a copy.
var noSniff = []string{"nosniff"}

// requestLog gives the request its ID, answers panics and errors, and writes one line to the log. Neither query nor
// headers are logged: they may carry secrets.
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

// errClientGone is for the log alone: the client hung up, and nobody reads the answer.
var errClientGone = bridge.E(bridge.ClientGone, bridge.CodeClientGone, "the client hung up before the answer was complete")

// ofTheClient says so where a request has failed because its client hung up, whatever came of that: a database reports it as
// an interruption, for one.
func ofTheClient(r *http.Request, err error) error {
	if err == nil || r.Context().Err() == nil {
		return err
	}
	if e, known := errors.AsType[*bridge.Error](err); known && e.Kind != bridge.Internal && !errors.Is(err, context.Canceled) {
		return err // it was refused all the same
	}
	if stopped := serving.Stopped(r.Context()); stopped != nil {
		return stopped
	}
	return errClientGone.Because(err)
}

// aborted is why an answer has been broken off.
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

// route answers a request: another server's path by any method, our own as its route says, and HEAD wherever GET is answered.
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

// RequestID is the ID of a request that has passed the request log.
func RequestID(r *http.Request) string { return first(r.Header[HeaderRequestID]) }

// first is what http.Header.Get returns, for a name that is in its canonical spelling already.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

const maxBody = 256 << 10

var errBody = bridge.E(bridge.TooLarge, bridge.CodeBodyTooLarge, "the body of the request is larger than %d KiB", maxBody>>10)

const bodyTimeout = 30 * time.Second

// ReadBody reads a whole body, of bounded length and in bounded time: nobody may hold a request open by sending its body
// a byte at a time.
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

// BoundDrain is for a request that is refused before its body is read: net/http reads what is left of it, and nobody may
// hold the connection by never sending it. The next request on the connection has a deadline of its own.
func BoundDrain(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTimeout))
	}
}

// Decode reads a JSON body strictly: bounded, of the right media type, one value, exact names, none twice, none unknown. An
// empty body is the zero value.
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
