package relay

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/who"
)

const (
	recheckEvery = 250 * time.Millisecond
	// grantFresh is how long a grant may be used without having been found to hold. Together with the check of what is open,
	// it is why whoever loses access is out within a second.
	grantFresh = 700 * time.Millisecond
	// grantBlind is how long what is open goes on while the database cannot be asked.
	grantBlind = 10 * time.Second
	// tokenRenewed is how old the access token of a new call may be. A stream lives on the server no longer than its token.
	tokenRenewed = time.Minute
	grantIdle    = 5 * time.Second
	maxGrants    = 10_000
)

// grantKey is who calls, by the hash of their credential, and over which connection.
type grantKey struct {
	credential [sha256.Size]byte
	connection string
}

// grant is one that has been looked up, and is checked again and again while it is in use.
type grant struct {
	connections.RelayGrant
	key    bridge.Identity // zero: a session
	itself bool            // the server is this cloud
	until  time.Time       // of the member's own credential, and of the token; by the cloud's clock
	held   atomic.Int64    // when it was last known to hold
	used   atomic.Int64
	dead   atomic.Bool
	old    atomic.Bool // the key has another secret: only what is open goes on
}

// grants are those used recently. The times in them are of the machine's clock, in nanoseconds.
type grants struct {
	mu    sync.Mutex
	all   map[grantKey]*grant
	turns int // how often all were forgotten
}

// forget drops every grant, so that the next call over each connection asks the database again. It is called after a change of
// who may do what and before that change is answered.
func (g *grants) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.all)
	g.turns++
}

// turn is what [grants.put] has to be given by a call that begins to look up a grant now.
func (g *grants) turn() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.turns
}

func (g *grants) get(key grantKey, now time.Time) *grant {
	g.mu.Lock()
	found := g.all[key]
	g.mu.Unlock()
	clock := time.Now().UnixNano()
	if found == nil || found.dead.Load() || found.old.Load() || !now.Before(found.until) || clock-found.held.Load() > int64(grantFresh) {
		return nil
	}
	found.used.Store(clock)
	return found
}

// put keeps a grant that was looked up, unless a change came in between: then it serves the one call that asked for it.
func (g *grants) put(key grantKey, fresh *grant, turn int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if turn != g.turns {
		return
	}
	if len(g.all) >= maxGrants {
		clear(g.all) // they are looked up again
	}
	g.all[key] = fresh
}

// list returns all, without those that nobody uses.
func (g *grants) list() []*grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	clock := time.Now().UnixNano()
	all := make([]*grant, 0, len(g.all))
	for key, one := range g.all {
		if one.dead.Load() || clock-one.used.Load() > int64(grantIdle) {
			delete(g.all, key)
			continue
		}
		all = append(all, one)
	}
	return all
}

// relayGrant says who calls and what they may call the server with.
func (rl *Relay) relayGrant(ctx echo.Context, connection string) (*grant, error) {
	r := ctx.Request()
	presented, err := bridge.Credential(r.Header)
	if err != nil {
		return nil, err
	}
	credential, what := presented.Value, "bearer "
	if credential.IsZero() {
		if cookie, err := r.Cookie(rl.who.CookieName()); err == nil {
			if err := rl.fromOwnPage(r); err != nil {
				return nil, err
			}
			credential, what = bridge.NewSecret(cookie.Value), "cookie "
		}
	}
	var keyUsed bridge.Identity
	if presented.IsKey() { // each use is verified, and counts
		if keyUsed, err = rl.who.UseKey(ctx, presented); err != nil {
			return nil, err
		}
	}
	key := grantKey{sha256.Sum256([]byte(what + credential.Reveal())), connection}
	if found := rl.calls.grants.get(key, rl.cfg.Now()); found != nil {
		return found, nil
	}
	asked, turn := time.Now(), rl.calls.grants.turn()
	var p accounts.Principal
	if presented.IsKey() {
		p, err = rl.who.KeyHolder(r.Context(), keyUsed)
	} else {
		p, err = rl.who.Principal(ctx)
	}
	if err != nil {
		return nil, err
	}
	granted, err := rl.accessTokens.Relay(r.Context(), who.Caller(ctx, p), connection)
	if err != nil {
		return nil, err
	}
	fresh := &grant{RelayGrant: granted, key: keyUsed, until: rl.cfg.Now().Add(tokenRenewed),
		itself: rl.who.IsOwnOrigin(granted.Server.Origin())}
	if !p.ExpiresAt.IsZero() && p.ExpiresAt.Before(fresh.until) {
		fresh.until = p.ExpiresAt
	}
	fresh.held.Store(asked.UnixNano())
	fresh.used.Store(asked.UnixNano())
	rl.calls.grants.put(key, fresh, turn)
	return fresh, nil
}

// ForgetGrants has the relay ask the database again after any request that may have changed who may do what, before that request
// is answered. Only the few frequent requests that change nothing of the kind are exempt.
func (rl *Relay) ForgetGrants(ctx echo.Context) error {
	r := ctx.Request()
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if path := r.URL.Path; IsRelay(r.URL.EscapedPath()) || path == "/oauth/token" || path == "/oauth/device_authorization" ||
		strings.HasPrefix(path, relayPrefix) && (strings.HasSuffix(path, "/credential") || strings.HasSuffix(path, "/check")) {
		return nil
	}
	ctx.Response().Before(rl.calls.grants.forget)
	return nil
}

// fromOwnPage refuses a request with a cookie that another site's page may have sent. What such a page cannot send is the
// header; a WebSocket's handshake, which can have no header of the page's, has the page's origin.
func (rl *Relay) fromOwnPage(r *http.Request) error {
	origin, handshake := r.Header["Origin"], len(r.Header["Upgrade"]) > 0
	if len(origin) > 1 || len(origin) == 1 && !rl.who.IsOwnOrigin(origin[0]) || len(origin) == 0 && handshake {
		return bridge.E(bridge.Forbidden, bridge.CodeCrossOrigin, "another site's page has sent this request")
	}
	if !handshake && r.Header.Get(headerRelay) != "1" {
		return bridge.E(bridge.Forbidden, bridge.CodeRelayHeaderMissing,
			"a call of the relay with a cookie needs a header that only the dashboard's own pages send").
			WithHint("send %s: 1", headerRelay)
	}
	return nil
}

// Recheck finds out which grants still hold, and cuts what is open on those that do not.
func (rl *Relay) Recheck(ctx context.Context) error {
	rl.calls.targets.forgetUnused(time.Now().Add(-targetIdle))
	held := rl.calls.grants.list()
	seen := make(map[*grant]bool, len(held))
	for _, g := range held {
		seen[g] = true
	}
	for _, call := range rl.calls.open.All() {
		if !seen[call.grant] {
			seen[call.grant], held = true, append(held, call.grant)
		}
	}
	if len(held) == 0 {
		return nil
	}
	asked := time.Now()
	ask := make([]connections.RelayGrant, len(held))
	for i, g := range held {
		ask[i] = g.RelayGrant
	}
	still, err := rl.accessTokens.RelayStill(ctx, ask)
	if ctx.Err() != nil {
		return nil
	}
	for i, g := range held {
		switch {
		case err != nil && asked.UnixNano()-g.held.Load() <= int64(grantBlind):
		case err == nil && still[i] != connections.HoldsNot && (g.key.Type == "" || rl.keys.Alive(g.key)):
			g.old.Store(still[i] == connections.HoldsOld)
			g.held.Store(asked.UnixNano())
		default:
			g.dead.Store(true)
		}
	}
	rl.calls.open.Cut(func(call *relayed) bool { return !call.grant.dead.Load() })
	return err
}
