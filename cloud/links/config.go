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
// Which keys open links is decided by the functions of [Config]; whether the path behind a link works is found out by
// cloud/servers.
package links

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/tunnel"
)

// Config is what the room needs. Every field is required unless it says otherwise.
type Config struct {
	PublicURL bridge.ServerURL // the cloud's own URL, which the keys of links sign
	Root      bridge.SigningRoot
	// Lookup returns the connection that an API key belongs to, and the public keys that open its links; none: nobody's.
	Lookup func(ctx context.Context, keyID string) (connection string, keys []ed25519.PublicKey, err error)
	// Rotate stores the successor of the key that opens a connection's links.
	Rotate func(ctx context.Context, keyID, connection string, successor ed25519.PublicKey) error
	// Leave removes a connection on behalf of its server.
	Leave func(ctx context.Context, keyID, connection string) error
	// Revocation returns the pending revocation of an API key; none: zero.
	Revocation func(ctx context.Context, keyID string) (bridge.Secret, error)
	Now        func() time.Time
}

// Links are the links of this process, and the ways to servers. Its methods are safe for concurrent use.
type Links struct {
	cfg      Config
	log      *slog.Logger
	links    tunnel.Links
	acceptor *tunnel.Acceptor
	limit    *api.Limiter
}

// Servers behind one address dial together after a restart: each link takes two requests.
const (
	dialEvery  = 20 * time.Millisecond
	dialBurst  = 1000
	dialBursts = 10_000 // of all addresses
)

// New returns the room.
func New(cfg Config, log *slog.Logger) *Links {
	ls := &Links{cfg: cfg, log: log, limit: api.NewLimiter(dialEvery, dialBurst, dialBursts, cfg.Now)}
	ls.acceptor = tunnel.NewAcceptor(tunnel.AcceptorConfig{Cloud: cfg.PublicURL, Links: &ls.links, Lookup: ls.lookup,
		Challenges: tunnel.NewChallenges(cfg.Root.LinkSecret(), cfg.Now)})
	return ls
}

// Mount adds the routes of links.
func (ls *Links) Mount(e *echo.Echo) {
	e.GET(api.PathLink, ls.open)
	e.DELETE(api.PathLink, ls.leave)
	e.POST(api.PathLinkKeys, ls.rotate)
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
