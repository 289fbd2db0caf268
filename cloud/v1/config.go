// Package v1 is the JSON API.
//
//	request ──► who calls, and may they (cloud/who) ──► one rule of a store, or a use case of cloud/servers ──► answer
//
// A handler parses, makes one call and answers. Each subject is a type with the fields it needs; its routes stand next to
// its handlers:
//
//	accountAPI       /me                                  connectionAPI   /connections, /revocations
//	sessionAPI       /sessions, /developer-tokens         sharingAPI      /connections/…/sharing, …/members
//	organizationAPI  /organizations, /invitations         endsAPI         …/ends: what a change would end
//	keyAPI           /api-keys, /scopes                   auditAPI        /audit
//	joinAPI          /join-tokens, /join
//
// Lists are {"items": …, "next_cursor": …}. An error is problem+json (RFC 9457) with a stable code, a cause and, where there
// is one, the command that fixes it. docs/api.md lists the routes; those of the relay, of events and of the sign-in provider
// are in cloud/relay, cloud/live and cloud/sso.
package v1

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/joining"
	"github.com/acebridge/ace/cloud/joins"
	"github.com/acebridge/ace/cloud/lockout"
	"github.com/acebridge/ace/cloud/preview"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/tokens"
	"github.com/acebridge/ace/cloud/upkeep"
	"github.com/acebridge/ace/cloud/who"
)

// Config holds everything that the room may use. Every field is required.
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
	Joins       *joins.Store
	Joiners     *api.Limiter // requests of joining servers
	Connections *connections.Store
	History     *connections.History
	Tokens      *tokens.Tokens
	Upkeep      *upkeep.Upkeep
	Preview     *preview.Preview
	Now         func() time.Time
}

// API answers the JSON API.
type API struct {
	subjects []interface{ mount(e *echo.Echo) }
}

// New returns the room. Each subject is built with only what it may touch.
func New(cfg Config, log *slog.Logger) *API {
	return &API{[]interface{ mount(e *echo.Echo) }{
		&accountAPI{who: cfg.Who, accounts: cfg.Accounts, addresses: cfg.Addresses},
		&sessionAPI{who: cfg.Who, sessions: cfg.Sessions, signin: cfg.SignIn, factors: cfg.Factors, lockout: cfg.Lockout, now: cfg.Now},
		&organizationAPI{who: cfg.Who, accounts: cfg.Accounts, joining: cfg.Joining},
		&connectionAPI{who: cfg.Who, connections: cfg.Connections, history: cfg.History, tokens: cfg.Tokens, upkeep: cfg.Upkeep, servers: cfg.Servers},
		&sharingAPI{who: cfg.Who, connections: cfg.Connections, servers: cfg.Servers},
		&endsAPI{who: cfg.Who, servers: cfg.Servers, preview: cfg.Preview},
		&keyAPI{who: cfg.Who, keys: cfg.Keys, servers: cfg.Servers},
		&joinAPI{who: cfg.Who, joins: cfg.Joins, joiners: cfg.Joiners},
		&auditAPI{who: cfg.Who, accounts: cfg.Accounts, now: cfg.Now, log: log},
	}}
}

// Mount mounts the routes of all subjects.
func (v *API) Mount(e *echo.Echo) {
	for _, s := range v.subjects {
		s.mount(e)
	}
	e.RouteNotFound("/v1/*", func(echo.Context) error { return echo.NewHTTPError(http.StatusNotFound) })
}
