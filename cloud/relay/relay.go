package relay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/api/serving"
	"github.com/acebridge/ace/bridge/guard"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/links"
	"github.com/acebridge/ace/cloud/who"
)

const (
	relayPrefix = api.PathConnections + "/"
	headerRelay = api.HeaderRelay
)

// calls holds the state of relayed calls.
type calls struct {
	name     string // of this cloud in Via
	limits   who.RelayLimits
	targets  relayTargets
	terms    knownTerms
	open     guard.Requests[*relayed]
	uses     relayUses
	suspects chan suspect
}

// relayed is a call in progress.
type relayed struct {
	terms   *accessTerms
	target  *relayTarget
	path    string // escaped
	err     error  // why the server did not answer
	began   time.Time
	counted bool
}

// suspect is a connection on which a call has failed.
type suspect struct {
	principal  accounts.Principal
	connection string
}

func newCalls(cfg Config, log *slog.Logger) *calls {
	sum := sha256.Sum256([]byte(cfg.PublicURL))
	const nameBytes, waiting = 8, 64
	l := &calls{name: "ace-" + hex.EncodeToString(sum[:nameBytes]), limits: cfg.Limits.OrDefaults(), suspects: make(chan suspect, waiting)}
	l.terms.all, _ = simplelru.NewLRU[termsKey, *accessTerms](maxTerms, nil) // fails only for a size of 0
	targets, _ := simplelru.NewLRU(maxTargets, func(_ string, dropped *relayTarget) { dropped.transport.CloseIdleConnections() })
	l.targets = relayTargets{rules: cfg.Outbound, links: cfg.Links, limits: l.limits, all: targets, proxy: httputil.ReverseProxy{
		Rewrite: l.rewrite, ModifyResponse: l.answer, ErrorHandler: l.failed, BufferPool: &api.BufferPool{},
		FlushInterval: time.Millisecond, // for responses of declared length; others are forwarded at once
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	return l
}

// RelayCall handles ANY /v1/connections/{id}/relay/*.
//
// A response that comes from the cloud instead of the server is marked as such; see [api.HeaderRelay].
func (rl *Relay) RelayCall(ctx echo.Context) error {
	err := rl.relayTo(ctx)
	if err != nil {
		ctx.Response().Header().Set(headerRelay, api.RelayCloud)
		ctx.Response().Header().Set("Cache-Control", "no-store")
	}
	return err
}

// relayTo forwards a call, or returns why it cannot.
func (rl *Relay) relayTo(ctx echo.Context) error {
	r, l := ctx.Request(), rl.calls
	connection, path, err := relayPath(r)
	if err != nil {
		return err
	}
	terms, err := rl.termsOf(ctx, connection)
	if err != nil {
		return err
	}
	if terms.itself || l.comesRound(r) {
		return bridge.E(bridge.Loop, bridge.CodeRelayLoop,
			"the call has come back to this cloud, through the server it was relayed to").
			WithHint("give the connection the URL of the server itself")
	}
	free, err := rl.quotas.Take(terms.Principal, terms.Connection)
	if err != nil {
		return err
	}
	defer free()
	if r.ContentLength > l.limits.Body {
		return errRelayBody(l.limits.Body)
	}
	stream := r.ContentLength < 0
	if stream {
		_ = http.NewResponseController(ctx.Response()).EnableFullDuplex() // the response may begin before the request has ended
	}
	now := time.Now()
	call := &relayed{terms: terms, path: path, target: l.targets.get(terms.Connection, terms.Server, now), began: now}
	entered := l.open.Enter(ctx.Response(), r, call)
	defer entered.Leave()
	if r.Body != nil && r.Body != http.NoBody {
		entered.Request.Body = http.MaxBytesReader(ctx.Response(), r.Body, l.limits.Body)
	}
	call.target.proxy.ServeHTTP(entered.Writer, entered.Request)
	if stopped := serving.Stopped(r.Context()); call.err != nil && stopped != nil {
		return stopped
	}
	if call.err != nil && entered.Request.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has gone, or may not continue: there is nobody to answer
	}
	if stream {
		endStream(ctx, call.err)
	}
	return call.err
}

// endStream finishes a request whose response may have begun first. The rest of the request must be read before the handler
// returns, or the connection must not be reused: otherwise net/http would see the end of this request while it waits for the
// next.
func endStream(ctx echo.Context, err error) {
	r := ctx.Request()
	if err != nil {
		if r.ProtoMajor == 1 {
			ctx.Response().Header().Set("Connection", "close")
		}
		return
	}
	api.BoundDrain(ctx.Response(), r)
	_, _ = io.Copy(io.Discard, r.Body)
}

// relayPath returns the connection's ID and the escaped path on the server for a request that may be relayed.
func relayPath(r *http.Request) (connection, path string, err error) {
	if err := guard.CheckRequest(r); err != nil {
		return "", "", err
	}
	if len(r.Header["Service-Worker"]) > 0 {
		return "", "", bridge.E(bridge.Forbidden, bridge.CodeServiceWorkerRefused,
			"what comes through the relay is not a script of the dashboard")
	}
	connection, path, ok := splitRelay(guard.SentPath(r))
	if !ok {
		return "", "", echo.NewHTTPError(http.StatusNotFound)
	}
	if guard.Climbs(path) {
		return "", "", guard.ErrClimbs // a proxy in front of this cloud may resolve it to something other than a relayed path
	}
	return connection, "/" + path, nil
}

// splitRelay splits the path of a relayed call into the connection and the server's path; all are escaped.
func splitRelay(escaped string) (connection, path string, ok bool) {
	rest, ok := strings.CutPrefix(escaped, relayPrefix)
	connection, rest, found := strings.Cut(rest, "/")
	path, isRelay := strings.CutPrefix(rest, "relay/")
	return connection, path, ok && found && isRelay
}

// IsRelay reports whether an escaped path leads through the relay.
func IsRelay(escaped string) bool {
	_, _, ok := splitRelay(escaped)
	return ok
}

// comesRound reports whether a request has already passed through this cloud's relay.
func (l *calls) comesRound(r *http.Request) bool {
	for _, via := range r.Header["Via"] {
		if strings.Contains(via, l.name) {
			return true
		}
	}
	return false
}

func errRelayBody(most int64) error {
	return bridge.E(bridge.TooLarge, bridge.CodeBodyTooLarge,
		"the body of the request is larger than the %d MiB that the relay passes on", most>>20).
		WithHint("call the server directly")
}

// failed records why a server did not answer. The caller learns only whether the request's body was too large, the server was
// slow, how its link is, or that the server could not be reached: the exact cause of a direct call would reveal addresses and ports
// of a network. The connection's status shows it to those who may see it.
func (l *calls) failed(_ http.ResponseWriter, r *http.Request, err error) {
	call, _ := guard.Admitted[*relayed](r.Context())
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		call.err = errRelayBody(l.limits.Body)
		l.count(call, false, 0)
		return
	}
	e, known := links.IsLinkError(err)
	if known && e.Code == bridge.CodeLinkForbidden { // not sent, and no fault of the server
		call.err = e
		l.count(call, false, 0)
		return
	}
	l.count(call, r.Context().Err() == nil, 0)
	if r.Context().Err() == nil {
		l.suspect(call)
	}
	if known {
		call.err = linkError(e, call.terms.Connection)
		return
	}
	var timeout net.Error
	_, dialing := errors.AsType[*net.OpError](err)
	if errors.As(err, &timeout) && timeout.Timeout() && !dialing {
		call.err = bridge.E(bridge.Timeout, bridge.CodeServerSlow,
			"the server has not answered in time: its answer must begin within %s",
			l.limits.Answer).WithHint("ace connections check %s", call.terms.Connection).Because(err)
		return
	}
	call.err = bridge.E(bridge.Unreachable, bridge.CodeServerUnreachable,
		"the server cannot be reached from the cloud, or does not answer as HTTP demands").
		WithHint("ace connections check %s", call.terms.Connection).Because(err)
}

// linkError is the error of a link with a hint for its caller.
func linkError(e *bridge.Error, connection string) error {
	told := *e
	if told.Code != bridge.CodeStopping {
		told.Hint = "ace connections check " + connection
	}
	return &told
}

// suspect has a connection probed at once after a failed call, so that its status says what is wrong.
func (l *calls) suspect(call *relayed) {
	if !l.targets.suspect(call.target, time.Now()) {
		return
	}
	select {
	case l.suspects <- suspect{call.terms.Principal, call.terms.Connection}:
	default: // it will be probed in its turn
	}
}

// probeSuspects probes suspect connections until ctx ends.
func (rl *Relay) probeSuspects(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-rl.calls.suspects:
			if _, err := rl.cfg.Check(ctx, s.principal, s.connection); err != nil && ctx.Err() == nil {
				rl.log.Debug("a connection that has failed could not be probed", "connection", s.connection, "error", err)
			}
		}
	}
}

// close cuts all open calls.
func (l *calls) close() {
	l.open.Cut(func(*relayed) bool { return false })
	l.targets.forgetUnused(time.Now().Add(time.Hour))
}
