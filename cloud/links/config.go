// Package links holds the links of servers that dial out, and knows the way to each server.
//
//	GET    /v1/link          opens a link      DELETE /v1/link       removes its connection
//	POST   /v1/link/keys     names the successor of its key
//
// A request is signed with the key of the link ([tunnel.Acceptor]); nothing else counts here, neither sessions nor API keys. A
// link that is refused because its connection is gone gets the signed revocation of its API key, which anyone may deliver.
//
// The way to a server, chosen for each request:
//
//	a link here ──► a link at another replica, by one hop ──► direct, where the URL can be dialed ──► no_link
//
// A request takes one way. It goes on to the next one only where the first has sent nothing; so nothing is sent twice.
//
// The links of a connection:
//
//	none ──opened──► up ──all lost──► lost ──5 s without one──► down
//	                  ▲                 │
//	                  └──opened again───┘
//
// A link is cut within a second after its key or its connection has gone. [Links.Drain] lets requests finish when the cloud stops.
//
// The replicas of a cloud reach each other at [Internal], with TLS at both ends; cloud/presence says who holds which links. What
// comes in by a hop goes to a link there, or nowhere: there is no second hop. Without Internal one replica alone holds links.
//
// Which keys open links is decided by the functions of [Config]; whether the path behind a link works is found out by
// cloud/servers.
package links

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/tunnel"
	"github.com/acebridge/ace/cloud/presence"
)

// Config is what the room needs. Every field is required unless it says otherwise.
type Config struct {
	PublicURL bridge.ServerURL // the cloud's own URL, which the keys of links sign
	Root      bridge.SigningRoot
	// Lookup returns the connection that an API key belongs to, and the public keys that open its links; none: nobody's.
	Lookup func(ctx context.Context, keyID string) (connection string, keys []ed25519.PublicKey, err error)
	// Used notes that a key has opened a link.
	Used func(ctx context.Context, connection string, key ed25519.PublicKey) error
	// Rotate stores the successor of the key that opens a connection's links.
	Rotate func(ctx context.Context, connection string, successor ed25519.PublicKey, from audit.Actor) error
	// Leave removes a connection on behalf of its server.
	Leave func(ctx context.Context, connection string, from audit.Actor) error
	// Revocation returns the pending revocation of an API key; none: zero.
	Revocation func(ctx context.Context, keyID string) (bridge.Secret, error)
	// News is told what has become of a connection's links, possibly twice, and for several connections at a time.
	News     func(ctx context.Context, connection string, news News) error
	Presence *presence.Store
	Internal Internal // zero: one replica alone may hold links
	Now      func() time.Time
}

// Links are the links of this process, and the ways to servers. Its methods are safe for concurrent use.
type Links struct {
	cfg      Config
	log      *slog.Logger
	links    tunnel.Links
	acceptor *tunnel.Acceptor
	limit    *api.Limiter
	watch    watch
	hop      *hop         // nil: the other replicas do not reach this one
	others   atomic.Int64 // other replicas that are alive
}

// Servers behind one address dial together after a restart: each link takes two requests.
const (
	dialEvery  = 20 * time.Millisecond
	dialBurst  = 1000
	dialBursts = 10_000 // of all addresses
)

// New returns the room. [Links.Run] does its background work.
func New(cfg Config, log *slog.Logger) (*Links, error) {
	ls := &Links{cfg: cfg, log: log, limit: api.NewLimiter(dialEvery, dialBurst, dialBursts, cfg.Now)}
	ls.watch = watch{woken: make(chan struct{}, 1), dirty: map[string]bool{}, held: map[string]bool{}, lost: map[string]time.Time{}}
	ls.links.Changed = ls.watch.changed
	if cfg.Internal.Listener != nil {
		var err error
		if ls.hop, err = newHop(ls, cfg.Internal); err != nil {
			return nil, err
		}
	}
	ls.others.Store(1) // there may be one: the first lease says
	replica := ""
	if ls.hop != nil { // else there is no point in links to several
		replica = cfg.Presence.Self().ID
	}
	ls.acceptor = tunnel.NewAcceptor(tunnel.AcceptorConfig{Cloud: cfg.PublicURL, Links: &ls.links, Lookup: ls.lookup, Replica: replica,
		Challenges: tunnel.NewChallenges(cfg.Root.LinkSecret(), cfg.Now)})
	return ls, nil
}

// Mount adds the routes of links.
func (ls *Links) Mount(e *echo.Echo) {
	e.GET(api.PathLink, ls.open)
	e.DELETE(api.PathLink, ls.leave)
	e.POST(api.PathLinkKeys, ls.rotate)
}

// RoundTrip returns how long the answer to a ping takes over the links of a connection to this replica; 0: it is not known.
func (ls *Links) RoundTrip(connection string) (shortest time.Duration) {
	for _, server := range ls.links.Servers(connection) {
		if server.RoundTrip > 0 && (shortest == 0 || server.RoundTrip < shortest) {
			shortest = server.RoundTrip
		}
	}
	return shortest
}

// Cut closes the links of a connection that is gone.
func (ls *Links) Cut(connection string) { ls.links.Cut(connection) }

// Drain takes no more links, and lets the requests on those that are open finish until ctx ends.
func (ls *Links) Drain(ctx context.Context) { ls.links.Drain(ctx) }

// Close closes all links.
func (ls *Links) Close() {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	ls.links.Drain(now)
}
