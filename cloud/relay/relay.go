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
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/who"
)

const (
	relayPrefix = api.PathConnections + "/"
	headerRelay = api.HeaderRelay
)

// calls calls servers on members' behalf.
type calls struct {
	name     string // of this cloud in Via
	limits   who.RelayLimits
	targets  relayTargets
	terms    knownTerms
	open     guard.Requests[*relayed]
	uses     relayUses
	suspects chan suspect
}

// relayed is a call under way.
type relayed struct {
	terms   *accessTerms
	target  *relayTarget
	path    string // escaped
	err     error  // why the server has not answered
	began   time.Time
	counted bool
}

// suspect is a connection that has failed.
type suspect struct {
	principal  accounts.Principal
	connection string
}

func newCalls(self bridge.ServerURL, rules outbound.Rules, limits who.RelayLimits, log *slog.Logger) *calls {
	sum := sha256.Sum256([]byte(self))
	const nameBytes, waiting = 8, 64
	l := &calls{name: "ace-" + hex.EncodeToString(sum[:nameBytes]), limits: limits.OrDefaults(), suspects: make(chan suspect, waiting)}
	l.terms.all, _ = simplelru.NewLRU[termsKey, *accessTerms](maxTerms, nil) // fails only for a size of 0
	targets, _ := simplelru.NewLRU(maxTargets, func(_ string, dropped *relayTarget) { dropped.transport.CloseIdleConnections() })
	l.targets = relayTargets{rules: rules, limits: l.limits, all: targets, proxy: httputil.ReverseProxy{
		Rewrite: l.rewrite, ModifyResponse: l.answer, ErrorHandler: l.failed, BufferPool: &api.BufferPool{},
		FlushInterval: time.Millisecond, // of answers of a declared length; others pass as they come
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	return l
}

// RelayCall is ANY /v1/connections/{id}/relay/*.
func (rl *Relay) RelayCall(ctx echo.Context) error {
	err := rl.relayTo(ctx)
	if err != nil {
		ctx.Response().Header().Set(headerRelay, api.RelayCloud)
		ctx.Response().Header().Set("Cache-Control", "no-store")
	}
	return err
}

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
		_ = http.NewResponseController(ctx.Response()).EnableFullDuplex() // the answer may begin before the request has ended
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
		panic(http.ErrAbortHandler) // the client is gone, or may not go on: there is nobody to answer
	}
	if stream {
		endStream(ctx, call.err)
	}
	return call.err
}

// endStream ends a request whose answer may have begun before it. What is left of it must be read before the handler returns,
// or the connection must not be used again: net/http would find the request's end after it has begun to wait for the next.
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

// relayPath takes the connection's ID and the escaped path at the server out of a request that may be relayed.
func relayPath(r *http.Request) (connection, path string, err error) {
	if err := guard.CheckRequest(r); err != nil {
		return "", "", err
	}
	if len(r.Header["Service-Worker"]) > 0 {
		return "", "", bridge.E(bridge.Forbidden, bridge.CodeServiceWorkerRefused,
			"what comes through the relay is no script of the dashboard's")
	}
	connection, path, ok := splitRelay(guard.SentPath(r))
	if !ok {
		return "", "", echo.NewHTTPError(http.StatusNotFound)
	}
	if guard.Climbs(path) {
		return "", "", guard.ErrClimbs // out of what is relayed, as a proxy in front of this cloud may read it
	}
	return connection, "/" + path, nil
}

// splitRelay finds the connection and the server's path in the path of a call through the relay; all are escaped.
func splitRelay(escaped string) (connection, path string, ok bool) {
	rest, ok := strings.CutPrefix(escaped, relayPrefix)
	connection, rest, found := strings.Cut(rest, "/")
	path, isRelay := strings.CutPrefix(rest, "relay/")
	return connection, path, ok && found && isRelay
}

// IsRelay reports whether a path leads through the relay.
func IsRelay(escaped string) bool {
	_, _, ok := splitRelay(escaped)
	return ok
}

// comesRound reports whether a request has passed through this cloud's relay before.
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
		"the body of the request is larger than %d MiB, which is what the relay passes on", most>>20).
		WithHint("call the server directly")
}

// failed notes why a server has not answered. What stands in the way is the connection's status, for those who see that: a
// caller gets one error, whatever it is, since addresses and ports of a network could be found out by the differences.
func (l *calls) failed(_ http.ResponseWriter, r *http.Request, err error) {
	call, _ := guard.Admitted[*relayed](r.Context())
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		call.err = errRelayBody(l.limits.Body)
		l.count(call, false, 0)
		return
	}
	l.count(call, r.Context().Err() == nil, 0)
	if r.Context().Err() == nil {
		l.suspect(call)
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

// suspect has a connection that has failed probed at once, so that its status says what is wrong.
func (l *calls) suspect(call *relayed) {
	if !l.targets.suspect(call.target, time.Now()) {
		return
	}
	select {
	case l.suspects <- suspect{call.terms.Principal, call.terms.Connection}:
	default: // they are probed in their turn
	}
}

// probeSuspects probes what has failed, until ctx ends.
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

// close cuts what is open.
func (l *calls) close() {
	l.open.Cut(func(*relayed) bool { return false })
	l.targets.forgetUnused(time.Now().Add(time.Hour))
}
