package guard

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge/apiclient"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
)

// RemoteConfig configures a [Remote]. Server and Key are required.
type RemoteConfig struct {
	// Server is the URL of the `ace server` that knows the keys.
	Server bridge.ServerURL
	// Key is an API key of that server with the scope key:read.
	Key bridge.Secret
	// Client says how the server is called: timeouts, TLS; the zero value will do.
	Client api.ClientConfig
	// Lease is how long cached answers stay usable without a word from the server; zero means 10 s. After that nothing passes.
	Lease time.Duration
	// CacheSize is the number of answers to cache; zero means 10,000.
	CacheSize int
	Log       *slog.Logger // nil: nothing is logged
}

const (
	defaultLease = 10 * time.Second
	defaultCache = 10_000
	maxInFlight  = 64 // simultaneous questions to the server; more wait
	reconnect    = 500 * time.Millisecond
	rulesEvery   = time.Minute
	// settle is how long answers about a changed key are not cached: another process of the server may still give the old
	// answer, for as long as it keeps going without its database.
	settle = 15 * time.Second
	// maxFates bounds how many changed keys are remembered; beyond that, all open requests are cut.
	maxFates = 100_000
)

// Remote is a [Verifier] that asks an `ace server` over HTTP (RFC 7662).
//
// It caches answers in memory. A stream of changed keys removes stale ones at once; if the stream is silent for longer than
// the lease, every request is refused with status 503. The rules are those of the server's catalogue. [Remote.Run] must run
// as long as requests are served.
type Remote struct {
	cfg    RemoteConfig
	client *apiclient.Server
	cache  *lru.Cache[cacheKey, bridge.Identity]
	slots  chan struct{}

	heard     atomic.Int64 // when the stream last said anything, on the monotonic clock; 0: never
	catalogue atomic.Pointer[catalogue.Catalogue]

	mu       sync.Mutex
	position int64                       // in the stream, to continue from; -1: no stream yet
	epoch    uint64                      // grows with each change: an answer asked for in an older epoch is not cached
	changed  map[uuid.UUID]time.Time     // keys that changed less than settle ago
	fates    map[uuid.UUID]api.KeyChange // the last known state of changed keys
	cutUntil time.Time                   // until then no open request counts as alive: the state of its key is unknown
	keepFrom time.Time                   // until then no answer is cached, for the same reason
}

type cacheKey [sha256.Size]byte

var began = time.Now()

// monotonic is the time since the process started; it is never 0.
func monotonic() int64 { return int64(time.Since(began)) + 1 }

// NewRemote returns a verifier that admits nothing until [Remote.Run] has reached the server.
//
// It does not connect by itself. It fails if the cache size is negative.
func NewRemote(cfg RemoteConfig) (*Remote, error) {
	if cfg.Lease == 0 {
		cfg.Lease = defaultLease
	}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = defaultCache
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cache, err := lru.New[cacheKey, bridge.Identity](cfg.CacheSize)
	if err != nil {
		return nil, bridge.E(bridge.Invalid, bridge.CodeCacheSize, "the cache needs a size above 0")
	}
	return &Remote{cfg: cfg, client: apiclient.NewServer(cfg.Server, cfg.Key, cfg.Client), cache: cache,
		slots: make(chan struct{}, maxInFlight), position: -1,
		changed: map[uuid.UUID]time.Time{}, fates: map[uuid.UUID]api.KeyChange{}}, nil
}

// fresh reports whether the stream has said anything within the lease.
func (r *Remote) fresh() bool {
	heard := r.heard.Load()
	return heard != 0 && monotonic()-heard < int64(r.cfg.Lease)
}

var errLost = &bridge.Error{Kind: bridge.Unavailable, Code: bridge.CodeAuthorityLost, RetryAfter: reconnect,
	Detail: "the server that knows the API keys is out of reach"}

// Admit implements [Verifier].
func (r *Remote) Admit(ctx context.Context, c Call) (bridge.Identity, error) {
	rules := r.catalogue.Load()
	if !r.fresh() || rules == nil {
		return bridge.Identity{}, errLost
	}
	id, err := r.identify(ctx, c)
	if err != nil {
		return bridge.Identity{}, err
	}
	if err := rules.Decide(id, c.Request); err != nil {
		return id, err
	}
	if !id.Counted {
		return id, nil
	}
	// Counted at the server, after the decision: a use that is refused costs nothing.
	_, err = r.ask(ctx, api.IntrospectRequest{Token: token(c.Presented), Address: c.Use.Address, UserAgent: c.Use.UserAgent, Spend: true})
	return id, err
}

// token is the credential as the client sent it, including the ID of KEYID.KEY.
func token(p bridge.Presented) bridge.Secret {
	if p.KeyID.Valid {
		return bridge.NewSecret(p.KeyID.UUID.String() + "." + p.Value.Reveal())
	}
	return p.Value
}

// identify returns whose credential a call has, from the cache or by asking the server.
func (r *Remote) identify(ctx context.Context, c Call) (bridge.Identity, error) {
	text := token(c.Presented)
	if c.Presented.IsKey() { // a mistyped key fails its checksum; no need to ask
		if _, err := c.Presented.Key(); err != nil {
			return bridge.Identity{}, invalid(err)
		}
	}
	if t := bridge.TokenType(c.Presented.Value); !c.Presented.IsKey() && t != bridge.TypeAccess && t != bridge.TypeUser {
		return bridge.Identity{}, invalid(bridge.E(bridge.Unauthenticated, bridge.CodeTokenType,
			"the credential is neither a key nor a token"))
	}
	hash := sha256.Sum256([]byte(text.Reveal()))
	if id, ok := r.cache.Get(hash); ok {
		if id.ExpiresAt.IsZero() || time.Now().Before(id.ExpiresAt) {
			return id, nil
		}
		r.cache.Remove(hash)
	}
	r.mu.Lock()
	epoch := r.epoch
	r.mu.Unlock()
	id, err := r.ask(ctx, api.IntrospectRequest{Token: text, Address: c.Use.Address, UserAgent: c.Use.UserAgent})
	if err != nil {
		return bridge.Identity{}, err
	}
	r.keep(hash, id, epoch)
	return id, nil
}

// keep caches an answer, unless something has changed since the question was asked.
func (r *Remote) keep(hash cacheKey, id bridge.Identity, epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if since, ok := r.changed[id.KeyID]; (ok && time.Since(since) < settle) || time.Now().Before(r.keepFrom) {
		return
	}
	if r.epoch == epoch && !id.Metered {
		r.cache.Add(hash, id)
	}
}

// invalid is the public refusal of a credential; cause is for the log.
func invalid(cause error) error {
	return bridge.E(bridge.Unauthenticated, bridge.CodeKeyInvalid, "API key is invalid or expired").Because(cause)
}

// ask asks the server about a credential. Callers are told of rate limits; any other failure to ask is [errLost] to them.
func (r *Remote) ask(ctx context.Context, q api.IntrospectRequest) (bridge.Identity, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return bridge.Identity{}, ctx.Err()
	}
	answer, err := r.client.Introspect(ctx, q)
	if err != nil {
		if e := bridge.AsError(err); e.Kind != bridge.TooMany {
			// A problem with our own key or with the network is none of the caller's business.
			r.cfg.Log.Error("cannot ask the server about a credential", "error", err)
			return bridge.Identity{}, errLost.Because(err)
		}
		return bridge.Identity{}, err
	}
	if !answer.Active {
		return bridge.Identity{}, invalid(bridge.E(bridge.Unauthenticated, bridge.CodeInactive,
			"the server says that it is not active"))
	}
	return identity(answer)
}

var errSubject = errors.New("the server names a subject that is not plain text")

// identity converts an introspection response. A response that makes no sense counts as a lost server.
func identity(a api.Introspection) (bridge.Identity, error) {
	scopes, err := bridge.ParseScopes(a.Scope)
	if err != nil {
		return bridge.Identity{}, errLost.Because(err)
	}
	if !bridge.PlainSubject(a.Sub) {
		return bridge.Identity{}, errLost.Because(errSubject)
	}
	id := bridge.Identity{Type: a.Type, Kind: bridge.KeyKind(a.Kind), Subject: a.Sub, Org: a.Org, Environment: a.Environment,
		Role: bridge.Role(a.Role), Connection: a.Connection, Number: a.Number, Probe: a.Probe, Scopes: scopes, Metered: a.Metered, Counted: a.Counted}
	if a.KeyID != "" {
		if id.KeyID, err = uuid.Parse(a.KeyID); err != nil {
			return bridge.Identity{}, errLost.Because(err)
		}
		if id.Generation, err = strconv.ParseUint(a.Generation, 16, 64); err != nil {
			return bridge.Identity{}, errLost.Because(err)
		}
	}
	if a.Iat != 0 {
		id.IssuedAt = time.Unix(a.Iat, 0).UTC()
	}
	if a.Exp != 0 {
		id.ExpiresAt = time.Unix(a.Exp, 0).UTC()
	}
	if a.WarnFrom != 0 {
		id.WarnFrom = time.Unix(a.WarnFrom, 0).UTC()
	}
	return id, nil
}

// Alive implements [Verifier].
func (r *Remote) Alive(id bridge.Identity) bool {
	if !r.fresh() || (!id.ExpiresAt.IsZero() && !time.Now().Before(id.ExpiresAt)) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.cutUntil) {
		return false
	}
	fate, changed := r.fates[id.KeyID]
	if id.Type == bridge.TypeAccessToken && bridge.Withdrawn(func(name string) bridge.Taken {
		return bridge.Taken{Until: fate.Withdrawn[name], Number: fate.Numbers[name], Clock: fate.Clocks[name]}
	}, id.Subject, id.IssuedAt, id.Number) {
		return false
	}
	generation, now := strconv.FormatUint(id.Generation, 16), time.Now().Unix()
	return !changed || slices.ContainsFunc(fate.Alive, func(g api.KeyGeneration) bool {
		return g.Generation == generation && (g.Until == 0 || now < g.Until)
	})
}

// Run follows the stream of changed keys, reconnecting until ctx ends.
//
// It reads the catalogue each time it connects and once a minute after that. It returns nil when ctx ends.
func (r *Remote) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := r.follow(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("the stream of changed keys broke off; trying again", "server", r.cfg.Server, "error", err)
		}
		timer := time.NewTimer(reconnect)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// follow runs one stream of changed keys until it breaks.
func (r *Remote) follow(ctx context.Context) error {
	rules, err := r.rules(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	position := r.position
	r.mu.Unlock()
	// A stream that is silent for the length of a lease is dead, even if the network has not noticed.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(r.cfg.Lease, cancel)
	defer watchdog.Stop()
	go r.refreshRules(ctx)
	first := true
	return r.client.KeyChanges(ctx, position, func(line json.RawMessage) error {
		var change api.KeyChange
		if err := bridge.DecodeStrict(line, &change); err != nil {
			return err
		}
		watchdog.Reset(r.cfg.Lease)
		r.take(change)
		if change.KeyID == "" && !change.Reset { // a heartbeat: every missed change has been sent
			if first {
				r.catalogue.Store(&rules)
				first = false
			}
			r.heard.Store(monotonic())
		}
		return nil
	})
}

func (r *Remote) rules(ctx context.Context) (catalogue.Catalogue, error) {
	raw, err := r.client.Scopes(ctx)
	if err != nil {
		return catalogue.Catalogue{}, err
	}
	return catalogue.Parse(raw)
}

// refreshRules reads the catalogue once a minute: a server updated behind a load balancer may have a new one while an older
// process still serves the stream.
func (r *Remote) refreshRules(ctx context.Context) {
	tick := time.NewTicker(rulesEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		rules, err := r.rules(ctx)
		if err != nil {
			r.cfg.Log.Warn("cannot read the server's catalogue; keeping the one that is known", "error", err)
			continue
		}
		r.catalogue.Store(&rules)
	}
}

// take applies one line of the stream. It runs before the line counts as heard.
func (r *Remote) take(change api.KeyChange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.position = change.Position
	if change.Reset {
		r.forget()
		return
	}
	id, err := uuid.Parse(change.KeyID)
	if err != nil {
		return // a heartbeat
	}
	r.epoch++
	now := time.Now()
	for key, since := range r.changed {
		if now.Sub(since) > settle {
			delete(r.changed, key)
		}
	}
	r.changed[id] = now
	if r.fates[id] = change; len(r.fates) > maxFates {
		r.forget()
	}
	for _, hash := range r.cache.Keys() {
		if cached, ok := r.cache.Peek(hash); ok && cached.KeyID == id {
			r.cache.Remove(hash)
		}
	}
}

// forget drops everything known about keys and cuts all open requests.
func (r *Remote) forget() {
	r.epoch++
	r.cache.Purge()
	r.changed, r.fates = map[uuid.UUID]time.Time{}, map[uuid.UUID]api.KeyChange{}
	now := time.Now()
	r.cutUntil, r.keepFrom = now.Add(2*sweepEvery), now.Add(settle)
}
