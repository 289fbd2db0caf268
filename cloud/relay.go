package cloud

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/api/serving"
	"github.com/acebridge/ace/bridge/guard"
	"github.com/acebridge/ace/cloud/accounts"
)

const (
	relayPrefix = "/v1/connections/"
	headerRelay = api.HeaderRelay
)

// RelayLimits bound what passes through the relay; a zero value is the default. An answer's size has no bound: it passes as
// fast as the member takes it, and ends when they go.
type RelayLimits struct {
	Answer  time.Duration // until the server's answer begins, once it has the request: a minute
	Silence time.Duration // that a stream may keep: five minutes without a byte in either direction
	Body    int64         // bytes of a request: 8 GiB

	// Calls at a time, streams among them: 64 of a member, 256 over a connection, 4096 in all, of which an organization may
	// have a quarter.
	Member, Connection, Total int
}

func (l RelayLimits) orDefaults() RelayLimits {
	return RelayLimits{
		Answer: cmp.Or(l.Answer, time.Minute), Silence: cmp.Or(l.Silence, 5*time.Minute), Body: cmp.Or(l.Body, 8<<30),
		Member: cmp.Or(l.Member, 64), Connection: cmp.Or(l.Connection, 256), Total: cmp.Or(l.Total, 4096),
	}
}

// relay calls servers on members' behalf.
type relay struct {
	name     string // of this cloud in Via
	limits   RelayLimits
	targets  relayTargets
	grants   grants
	open     guard.Requests[*relayed]
	uses     relayUses
	suspects chan suspect
}

// relayed is a call under way.
type relayed struct {
	grant   *grant
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

func newRelay(self bridge.ServerURL, rules dialRules, limits RelayLimits, log *slog.Logger) *relay {
	sum := sha256.Sum256([]byte(self))
	const nameBytes, waiting = 8, 64
	l := &relay{name: "ace-" + hex.EncodeToString(sum[:nameBytes]), limits: limits.orDefaults(), suspects: make(chan suspect, waiting)}
	l.grants.all = map[grantKey]*grant{}
	l.targets = relayTargets{rules: rules, limits: l.limits, all: map[string]*relayTarget{}, proxy: httputil.ReverseProxy{
		Rewrite: l.rewrite, ModifyResponse: l.answer, ErrorHandler: l.failed, BufferPool: &api.BufferPool{},
		FlushInterval: time.Millisecond, // of answers of a declared length; others pass as they come
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	return l
}

// relayCall is ANY /v1/connections/{id}/relay/*.
func (c *Cloud) relayCall(ctx echo.Context) error {
	err := c.relayTo(ctx)
	if err != nil {
		ctx.Response().Header().Set(headerRelay, api.RelayCloud)
		ctx.Response().Header().Set("Cache-Control", "no-store")
	}
	return err
}

func (c *Cloud) relayTo(ctx echo.Context) error {
	r, l := ctx.Request(), c.relay
	connection, path, err := relayPath(r)
	if err != nil {
		return err
	}
	granted, err := c.relayGrant(ctx, connection)
	if err != nil {
		return err
	}
	if granted.itself || l.comesRound(r) {
		return bridge.E(bridge.Loop, bridge.CodeRelayLoop,
			"the call has come back to this cloud, through the server it was relayed to").
			WithHint("give the connection the URL of the server itself")
	}
	free, err := c.quotas.take(granted.Principal, granted.Connection)
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
	call := &relayed{grant: granted, path: path, target: l.targets.get(granted.Connection, granted.Server, now), began: now}
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

func isRelay(escaped string) bool {
	_, _, ok := splitRelay(escaped)
	return ok
}

// comesRound reports whether a request has passed through this cloud's relay before.
func (l *relay) comesRound(r *http.Request) bool {
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
func (l *relay) failed(_ http.ResponseWriter, r *http.Request, err error) {
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
			l.limits.Answer).WithHint("ace connections check %s", call.grant.Connection).Because(err)
		return
	}
	call.err = bridge.E(bridge.Unreachable, bridge.CodeServerUnreachable,
		"the server cannot be reached from the cloud, or does not answer as HTTP demands").
		WithHint("ace connections check %s", call.grant.Connection).Because(err)
}

// suspect has a connection that has failed probed at once, so that its status says what is wrong.
func (l *relay) suspect(call *relayed) {
	if !l.targets.suspect(call.target, time.Now()) {
		return
	}
	select {
	case l.suspects <- suspect{call.grant.Principal, call.grant.Connection}:
	default: // they are probed in their turn
	}
}

// probeSuspects probes what has failed, until ctx ends.
func (c *Cloud) probeSuspects(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-c.relay.suspects:
			if _, err := c.check(ctx, s.principal, s.connection); err != nil && ctx.Err() == nil {
				c.log.Debug("a connection that has failed could not be probed", "connection", s.connection, "error", err)
			}
		}
	}
}

// quotas bound the calls to servers that are under way.
type quotas struct {
	limits RelayLimits

	mu    sync.Mutex
	total int
	taken map[string]int // by member, by connection, and by organization
}

func newQuotas(limits RelayLimits) *quotas {
	return &quotas{limits: limits.orDefaults(), taken: map[string]int{}}
}

// take takes a slot of each, or none; free gives them back.
func (s *quotas) take(p accounts.Principal, connection string) (free func(), err error) {
	member, org, limits := p.OrgID+"/"+p.UserID, orgName(p), s.limits
	s.mu.Lock()
	defer s.mu.Unlock()
	switch most := share(limits.Total); {
	case s.taken[member] >= limits.Member:
		return nil, relayBusy("you have %d calls under way already", limits.Member)
	case s.taken[connection] >= limits.Connection:
		return nil, relayBusy("there are %d calls over this connection under way already", limits.Connection)
	case s.taken[org] >= most:
		return nil, relayBusy("your organization has %d calls under way already", most)
	case s.total >= limits.Total:
		return nil, relayBusy("there are %d calls through this cloud under way already", limits.Total)
	}
	s.add(1, member, connection, org)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.add(-1, member, connection, org)
	}, nil
}

// share is how much of what there is in all one organization may take, so that there is some left for the others.
func share(total int) int { return max(1, total/4) }

// orgName names a principal's organization among others who are limited.
func orgName(p accounts.Principal) string { return "org:" + p.OrgID }

func (s *quotas) add(n int, names ...string) {
	s.total += n
	for _, name := range names {
		if s.taken[name] += n; s.taken[name] == 0 {
			delete(s.taken, name)
		}
	}
}

func relayBusy(format string, most int) error {
	return &bridge.Error{Kind: bridge.TooMany, Code: bridge.CodeRelayBusy, Detail: fmt.Sprintf(format, most),
		RetryAfter: time.Second,
		Hint:       "end streams that are not needed, or call the server directly"}
}

// close cuts what is open.
func (l *relay) close() {
	l.open.Cut(func(*relayed) bool { return false })
	l.targets.forgetUnused(time.Now().Add(time.Hour))
}
