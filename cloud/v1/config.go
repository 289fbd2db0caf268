// Package v1 is the JSON API.
//
//	request ──► who calls, and may they (cloud/who) ──► one rule of a store, or a use case of cloud/servers ──► answer
//
// A handler parses, calls one thing and answers. Lists are {"items": …, "next_cursor": …}; an error is problem+json (RFC 9457)
// with a stable code, a cause and, where there is one, the command that fixes it; docs/api.md lists the routes.
package v1

import (
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/joining"
	"github.com/acebridge/ace/cloud/lockout"
	"github.com/acebridge/ace/cloud/preview"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/who"
)

// Config is all that the room may touch.
type Config struct {
	Keys        *keys.Authority // of the cloud's own API
	Who         *who.Finder
	Servers     *servers.Servers
	Accounts    *accounts.Store
	Sessions    *accounts.Sessions
	SignIn      *signin.Store
	Factors     *factors.Store
	Lockout     *lockout.Store
	Addresses   *addresses.Store
	Joining     *joining.Store
	Connections *connections.Store
	Tokens      *connections.Tokens
	Upkeep      *connections.Upkeep
	Preview     *preview.Preview
	Now         func() time.Time
}

// API answers the JSON API.
type API struct {
	cfg          Config
	log          *slog.Logger
	keys         *keys.Authority
	who          *who.Finder
	servers      *servers.Servers
	accounts     *accounts.Store
	sessions     *accounts.Sessions
	signin       *signin.Store
	factors      *factors.Store
	lockout      *lockout.Store
	addresses    *addresses.Store
	joining      *joining.Store
	connections  *connections.Store
	accessTokens *connections.Tokens
	upkeep       *connections.Upkeep
	preview      *preview.Preview
}

// New returns the room.
func New(cfg Config, log *slog.Logger) *API {
	return &API{cfg: cfg, log: log,
		keys: cfg.Keys, who: cfg.Who, servers: cfg.Servers, accounts: cfg.Accounts, sessions: cfg.Sessions,
		signin: cfg.SignIn, factors: cfg.Factors, lockout: cfg.Lockout, addresses: cfg.Addresses, joining: cfg.Joining, connections: cfg.Connections, accessTokens: cfg.Tokens, upkeep: cfg.Upkeep, preview: cfg.Preview}
}
