// Package dashboard is the pages of people who are signed in: connections, keys, members, audit log and settings.
//
//	page ──► what it shows is read from the stores ──► web's template
//	form ──► one rule of a store, or a use case of cloud/servers ──► the page again: done (303), or the form with its error
//	a change that ends something ──► a page that names it (cloud/preview) ──► ticked and sent again ──► done
//
// Pages need no script: ace.js makes them live and convenient. What a page may load, cloud/page decides.
package dashboard

import (
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/preview"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/who"
)

// Config is all that the room may touch.
type Config struct {
	PublicURL   bridge.ServerURL // the cloud's own URL
	Keys        *keys.Authority  // of the cloud's own API
	Page        *page.Writer
	Who         *who.Finder
	Quotas      *who.Quotas
	Servers     *servers.Servers
	Accounts    *accounts.Store
	Sessions    *accounts.Sessions
	Factors     *factors.Store
	Passwords   *signin.Passwords
	Addresses   *addresses.Store
	Outbox      *outbox.Outbox
	Connections *connections.Store
	Tokens      *connections.Tokens
	Upkeep      *connections.Upkeep
	Preview     *preview.Preview
	Devices     *api.Limiter // codes of a second factor that are tried
	Now         func() time.Time
}

// Dashboard is the pages of people who are signed in.
type Dashboard struct {
	cfg          Config
	log          *slog.Logger
	keys         *keys.Authority
	page         *page.Writer
	who          *who.Finder
	quotas       *who.Quotas
	servers      *servers.Servers
	accounts     *accounts.Store
	sessions     *accounts.Sessions
	factors      *factors.Store
	passwords    *signin.Passwords
	addresses    *addresses.Store
	outbox       *outbox.Outbox
	connections  *connections.Store
	accessTokens *connections.Tokens
	upkeep       *connections.Upkeep
	preview      *preview.Preview
	devices      *api.Limiter
}

// New returns the room.
func New(cfg Config, log *slog.Logger) *Dashboard {
	return &Dashboard{cfg: cfg, log: log,
		keys: cfg.Keys, page: cfg.Page, who: cfg.Who, quotas: cfg.Quotas, servers: cfg.Servers,
		accounts: cfg.Accounts, sessions: cfg.Sessions, factors: cfg.Factors, passwords: cfg.Passwords, addresses: cfg.Addresses, outbox: cfg.Outbox, connections: cfg.Connections,
		accessTokens: cfg.Tokens, upkeep: cfg.Upkeep, preview: cfg.Preview, devices: cfg.Devices}
}
