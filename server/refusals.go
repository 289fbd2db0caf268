package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

const (
	refusedEvery  = time.Second // limits audited refusals, so that nobody can fill the audit log
	refusedBurst  = 30
	refusedGlobal = 100
	maxRefusals   = 4096 // remembered in memory for `ace why`
	maxPending    = 1000 // audit entries waiting to be written
	flushRefusals = time.Second
)

// refusals remembers why requests were refused: the most recent ones in memory, and those of known keys in the audit log,
// which is written in the background. A request without a key of ours is never written: junk does not reach the database.
type refusals struct {
	db    *sqldb.DB
	log   *slog.Logger
	now   func() time.Time
	limit *api.Limiter

	recent *lru.Cache[string, api.Refusal] // by request ID; only peeked at, so the oldest is evicted first

	mu      sync.Mutex
	pending []pendingEntry
}

type pendingEntry struct {
	at    time.Time
	entry audit.Entry
}

// newRefusals returns an empty memory of refusals.
func newRefusals(db *sqldb.DB, log *slog.Logger, now func() time.Time) (*refusals, error) {
	recent, err := lru.New[string, api.Refusal](maxRefusals)
	if err != nil {
		return nil, fmt.Errorf("remember refusals: %w", err)
	}
	return &refusals{db: db, log: log, now: now, limit: api.NewLimiter(refusedEvery, refusedBurst, refusedGlobal, now),
		recent: recent}, nil
}

// refusedCall is the refused call: the request itself, or the one that an introspection asks about.
type refusedCall struct {
	who                   bridge.Identity
	presented             bridge.Presented
	address, method, path string
}

// refused records why a request to the app or to the server's own API is refused, and returns the error for the caller.
func (s *Server) refused(c echo.Context, who bridge.Identity, err error) error {
	r := c.Request()
	call := refusedCall{who: who, address: c.RealIP(), method: r.Method, path: r.URL.Path}
	call.presented, _ = bridge.Credential(r.Header)
	if r.URL.Path == verifyPath && api.FromTrusted(r, s.cfg.TrustedProxies) {
		if method, uri, originalErr := originalRequest(r.Header); originalErr == nil {
			call.method, call.path = method, uri
		}
	}
	return s.refusedOf(c, call, err)
}

// refusedOf records a refusal of any call; see [Server.refused].
func (s *Server) refusedOf(c echo.Context, call refusedCall, err error) error {
	e, cause := bridge.AsError(err), causeOf(err)
	path, _, _ := strings.Cut(call.path, "?")
	refusal := api.Refusal{RequestID: api.RequestID(c.Request()), At: s.cfg.Now().UTC(), Status: api.Status(err), Code: e.Code,
		Cause: cause.Code, Detail: cause.Detail, Hint: cause.Hint, Scope: string(e.Scope), Subject: call.who.Subject,
		Method: call.method, Path: bridge.Clip(path, maxShown), Address: call.address}
	id := call.who.KeyID
	if id == uuid.Nil {
		id = presentedKeyID(call.presented)
	}
	if id != uuid.Nil {
		refusal.KeyID = id.String()
		if e.Scope != "" && call.who.Type != "" {
			refusal.LimitedBy = s.keys.LimitedBy(id, e.Scope)
		}
	}
	s.refusals.recent.Add(refusal.RequestID, refusal)
	if known := call.who.Type != "" || knownKey[cause.Code]; known {
		actor := s.actor(c, "unknown")
		actor.Address = call.address
		if call.who.Type != "" {
			who := caller{call.who}
			actor.ID, actor.Key, actor.Connection = who.actor(), who.key(), who.Connection
		} else if id != uuid.Nil {
			actor.ID = "key:" + refusal.KeyID
		}
		s.refusals.audit(actor, "access.refuse", refusal, err)
	}
	return err
}

// knownKey are the causes that only a key issued here can have.
var knownKey = map[bridge.Code]bool{bridge.CodeKeyExpired: true, bridge.CodeKeyRevoked: true, bridge.CodeKeyDisabled: true,
	bridge.CodeKeyLapsed: true,
	bridge.CodeKeyUsedUp: true, bridge.CodeKeyRotated: true, bridge.CodeKeyAddress: true, bridge.CodeKeyRate: true, bridge.CodeTokenExpired: true,
	bridge.CodeParentExpired: true, bridge.CodeParentRevoked: true, bridge.CodeParentDisabled: true, bridge.CodeParentLapsed: true, bridge.CodeParentUsedUp: true,
	bridge.CodeParentUnconfirmed: true, bridge.CodeParentUnknown: true, bridge.CodeParentAddress: true}

const maxShown = 300 // bytes of an outside value that are kept

// causeOf returns the innermost error of ours, which may be hidden from the caller.
func causeOf(err error) *bridge.Error {
	e := bridge.AsError(err)
	for e.Err != nil {
		inner := bridge.AsError(e.Err)
		if inner.Code == bridge.CodeInternal {
			break
		}
		e = inner
	}
	return e
}

// presentedKeyID returns the public part of the key in a request, whether or not it was ever issued.
func presentedKeyID(presented bridge.Presented) uuid.UUID {
	if key, err := presented.Key(); err == nil {
		return key.ID
	}
	id, err := bridge.TokenKeyID(presented.Value)
	if err != nil {
		return uuid.Nil
	}
	return id
}

// audit queues a refusal for the audit log.
func (r *refusals) audit(actor audit.Actor, action string, of api.Refusal, err error) {
	if r.limit.Allow(bridge.AddressKey(actor.Address)) != nil {
		return
	}
	e, cause := bridge.AsError(err), causeOf(err)
	details := map[string]string{"detail": cause.Detail}
	if cause.Code != e.Code {
		details["cause"] = string(cause.Code)
	}
	if e.Scope != "" {
		details["scope"] = string(e.Scope)
	}
	if of.LimitedBy != "" {
		details["limited_by"] = of.LimitedBy
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) < maxPending {
		r.pending = append(r.pending, pendingEntry{r.now(), audit.Entry{Actor: actor, Action: action, Target: of.Path,
			Outcome: string(e.Code), Details: details}})
	}
}

// run writes queued refusals every second until ctx ends, and then the rest.
func (r *refusals) run(ctx context.Context) {
	tick := time.NewTicker(flushRefusals)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushRefusals)
			defer cancel()
			r.flush(last)
			return
		case <-tick.C:
			r.flush(ctx)
		}
	}
}

// flush writes the queued entries. A refusal changes nothing, so failing to record one does not let anything through.
func (r *refusals) flush(ctx context.Context) {
	r.mu.Lock()
	pending := r.pending
	r.pending = nil
	r.mu.Unlock()
	for i, p := range pending {
		if err := audit.Record(ctx, r.db, p.at, p.entry); err != nil {
			r.log.Warn("could not audit a refusal; trying again", "error", err)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.pending = append(pending[i:], r.pending...)[:min(maxPending, len(pending)-i+len(r.pending))]
			return
		}
	}
}

// refusal tells the operator why a request was refused, from memory or else from the audit log.
func (s *Server) refusal(c echo.Context) error {
	who, err := s.authorize(c, "audit:read")
	if err != nil {
		return err
	}
	id := c.Param("id")
	refusal, ok := s.refusals.recent.Peek(id)
	if ok {
		return c.JSON(http.StatusOK, refusal)
	}
	entries, _, err := audit.List(c.Request().Context(), s.db, audit.Query{Org: who.Org, RequestID: id, Limit: 10})
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Outcome == audit.OK {
			continue
		}
		refusal = api.Refusal{RequestID: id, At: e.At, Code: bridge.Code(e.Outcome), Cause: bridge.Code(e.Outcome),
			Detail: e.Details["detail"],
			Scope:  e.Details["scope"], LimitedBy: e.Details["limited_by"], Path: e.Target, Address: e.Address}
		if cause := e.Details["cause"]; cause != "" {
			refusal.Cause = bridge.Code(cause)
		}
		refusal.KeyID, _ = strings.CutPrefix(e.Actor, "key:")
		if refusal.KeyID == e.Actor {
			refusal.KeyID = ""
		}
		return c.JSON(http.StatusOK, refusal)
	}
	return bridge.E(bridge.NotFound, bridge.CodeRefusalUnknown, "no refusal of the request %.64q is known", id).
		WithHint("the request ID is in the header X-Request-Id of the answer; only the last ones, and those of known keys, are kept")
}
