package relay

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/tokens"
	"github.com/acebridge/ace/cloud/who"
)

const (
	// recheckEvery is how often the access terms of open calls are checked.
	recheckEvery = 250 * time.Millisecond
	// termsFresh is how long access terms are used without another check. Together with recheckEvery it keeps anyone from
	// calling for more than a second after losing access.
	termsFresh = 700 * time.Millisecond
	// termsBlind is how long open calls continue while the database cannot be reached.
	termsBlind = 10 * time.Second
	// tokenRenewed is the maximum age of the access token for a new call. A stream lives on the server only as long as its token.
	tokenRenewed = time.Minute
	termsIdle    = 5 * time.Second // unused terms are dropped after that
	maxTerms     = 10_000
)

// termsKey identifies access terms: a hash of the caller's credential, and the connection.
type termsKey struct {
	credential [sha256.Size]byte
	connection string
}

// accessTerms are what one caller may do over one connection. They are checked again while in use.
type accessTerms struct {
	tokens.AccessTerms
	key    bridge.Identity // zero: a session
	itself bool            // the connection's server is this cloud
	until  time.Time       // the end of the member's credential or of the token, whichever is first; by the cloud's clock
	held   atomic.Int64    // when they were last known to hold
	used   atomic.Int64
	dead   atomic.Bool
	old    atomic.Bool // the connection's key has a new secret: only open calls continue
}

// knownTerms are recently used access terms. Their times are by the machine's clock, in nanoseconds.
type knownTerms struct {
	mu    sync.Mutex
	all   *simplelru.LRU[termsKey, *accessTerms]
	turns int // how often all of them were dropped
}

// forget drops all access terms, so that the next call over each connection asks the database again. It runs after a change of
// rights and before that change is answered.
func (k *knownTerms) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all.Purge()
	k.turns++
}

// turn returns what a caller who looks up access terms now must pass to [knownTerms.put].
func (k *knownTerms) turn() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.turns
}

// get returns access terms that are fresh enough for a new call, or nil.
func (k *knownTerms) get(key termsKey, now time.Time) *accessTerms {
	k.mu.Lock()
	found, _ := k.all.Get(key)
	k.mu.Unlock()
	clock := time.Now().UnixNano()
	if found == nil || found.dead.Load() || found.old.Load() || !now.Before(found.until) || clock-found.held.Load() > int64(termsFresh) {
		return nil
	}
	found.used.Store(clock)
	return found
}

// put stores access terms, unless rights have changed since turn: then only the call that asked for them uses them.
func (k *knownTerms) put(key termsKey, fresh *accessTerms, turn int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if turn != k.turns {
		return
	}
	k.all.Add(key, fresh)
}

// list returns the access terms that are in use, and drops the others.
func (k *knownTerms) list() []*accessTerms {
	k.mu.Lock()
	defer k.mu.Unlock()
	clock := time.Now().UnixNano()
	for _, key := range k.all.Keys() {
		if one, _ := k.all.Peek(key); one.dead.Load() || clock-one.used.Load() > int64(termsIdle) {
			k.all.Remove(key)
		}
	}
	return k.all.Values()
}

// termsOf identifies the caller and returns their access terms for a connection.
func (rl *Relay) termsOf(ctx echo.Context, connection string) (*accessTerms, error) {
	r := ctx.Request()
	presented, err := bridge.Credential(r.Header)
	if err != nil {
		return nil, err
	}
	credential, what := presented.Value, "bearer "
	if credential.IsZero() {
		if cookie, err := r.Cookie(rl.who.CookieName()); err == nil {
			if err := rl.requireOwnPage(r); err != nil {
				return nil, err
			}
			credential, what = bridge.NewSecret(cookie.Value), "cookie "
		}
	}
	var keyUsed bridge.Identity
	if presented.IsKey() { // each use of a key is verified and counted
		if keyUsed, err = rl.who.UseKey(ctx, presented); err != nil {
			return nil, err
		}
	}
	key := termsKey{sha256.Sum256([]byte(what + credential.Reveal())), connection}
	if found := rl.calls.terms.get(key, rl.cfg.Now()); found != nil {
		return found, nil
	}
	asked, turn := time.Now(), rl.calls.terms.turn()
	var p accounts.Principal
	if presented.IsKey() {
		p, err = rl.who.KeyHolder(r.Context(), keyUsed)
	} else {
		p, err = rl.who.Presented(ctx, presented)
	}
	if err != nil {
		return nil, err
	}
	terms, err := rl.accessTokens.Relay(r.Context(), who.Caller(ctx, p), connection)
	if err != nil {
		return nil, err
	}
	fresh := &accessTerms{AccessTerms: terms, key: keyUsed, until: rl.cfg.Now().Add(tokenRenewed),
		itself: rl.who.IsOwnOrigin(terms.Server.Origin())}
	if !p.ExpiresAt.IsZero() && p.ExpiresAt.Before(fresh.until) {
		fresh.until = p.ExpiresAt
	}
	fresh.held.Store(asked.UnixNano())
	fresh.used.Store(asked.UnixNano())
	rl.calls.terms.put(key, fresh, turn)
	return fresh, nil
}

// ForgetTerms drops all access terms if a request may change rights, before that request is answered.
//
// It is cloud middleware for every request. Reads, relayed calls and other frequent requests that change no rights are exempt.
func (rl *Relay) ForgetTerms(ctx echo.Context) error {
	r := ctx.Request()
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if path := r.URL.Path; IsRelay(r.URL.EscapedPath()) || path == "/oauth/token" || path == "/oauth/device_authorization" ||
		strings.HasPrefix(path, relayPrefix) && (strings.HasSuffix(path, "/credential") || strings.HasSuffix(path, "/check")) {
		return nil
	}
	ctx.Response().Before(rl.calls.terms.forget)
	return nil
}

// requireOwnPage refuses a request with a cookie that a page of another site may have sent. Such a page cannot set the header. A
// WebSocket handshake cannot have it either, and names the page's origin instead.
func (rl *Relay) requireOwnPage(r *http.Request) error {
	origin, handshake := r.Header["Origin"], len(r.Header["Upgrade"]) > 0
	if len(origin) > 1 || len(origin) == 1 && !rl.who.IsOwnOrigin(origin[0]) || len(origin) == 0 && handshake {
		return bridge.E(bridge.Forbidden, bridge.CodeCrossOrigin, "this request was sent by another site's page")
	}
	if !handshake && r.Header.Get(headerRelay) != "1" {
		return bridge.E(bridge.Forbidden, bridge.CodeRelayHeaderMissing,
			"a relay call with a cookie needs a header that only the dashboard's own pages send").
			WithHint("send %s: 1", headerRelay)
	}
	return nil
}

// Recheck checks which access terms still hold, and cuts the open calls of those that do not.
//
// It also closes targets that are no longer used.
func (rl *Relay) Recheck(ctx context.Context) error {
	rl.calls.targets.forgetUnused(time.Now().Add(-targetIdle))
	held := rl.calls.terms.list()
	seen := make(map[*accessTerms]bool, len(held))
	for _, t := range held {
		seen[t] = true
	}
	for _, call := range rl.calls.open.All() {
		if !seen[call.terms] {
			seen[call.terms], held = true, append(held, call.terms)
		}
	}
	if len(held) == 0 {
		return nil
	}
	asked := time.Now()
	ask := make([]tokens.AccessTerms, len(held))
	for i, t := range held {
		ask[i] = t.AccessTerms
	}
	still, err := rl.accessTokens.RelayStill(ctx, ask)
	if ctx.Err() != nil {
		return nil
	}
	for i, t := range held {
		switch {
		case err != nil && asked.UnixNano()-t.held.Load() <= int64(termsBlind):
		case err == nil && still[i] != tokens.HoldsNot && (t.key.Type == "" || rl.keys.Alive(t.key)):
			t.old.Store(still[i] == tokens.HoldsOld)
			t.held.Store(asked.UnixNano())
		default:
			t.dead.Store(true)
		}
	}
	rl.calls.open.Cut(func(call *relayed) bool { return !call.terms.dead.Load() })
	return err
}
