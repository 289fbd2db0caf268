// Package oauth is the authorization server: RFC 6749, 7636, 7009, 8414, 8628, 8693 and 9207.
//
//	device flow:  device_authorization ──► a person approves at /device ──► token
//	browser flow: authorize (a page, always a click) ──► code, PKCE S256 ──► token
//	refresh:      token (rotates; an old one used again ends the session)
//	exchange:     a session's token in, a connect token for exactly one server out (RFC 8693)
//
// The one client is our own command line, with a loopback redirect. Errors have OAuth's own names and bodies; where the
// database is away the token endpoint says temporarily_unavailable, since a client answers invalid_grant by a new login.
package oauth

import (
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
)

// Config is all that the room may touch.
type Config struct {
	PublicURL   bridge.ServerURL   // the cloud's own URL, the issuer
	Root        bridge.SigningRoot // signs connect tokens
	Page        *page.Writer
	Who         *who.Finder
	Sessions    *accounts.Sessions
	Accounts    *accounts.Store    // its audit log
	Connections *connections.Store // makes the claims of connect tokens
	Devices     *api.Limiter       // device logins of one address
	Tokens      *api.Limiter       // requests of one address
	Now         func() time.Time
}

// OAuth is the authorization server.
type OAuth struct {
	cfg         Config
	log         *slog.Logger
	root        bridge.SigningRoot
	page        *page.Writer
	who         *who.Finder
	sessions    *accounts.Sessions
	accounts    *accounts.Store
	connections *connections.Store
	devices     *api.Limiter
	tokens      *api.Limiter
}

// New returns the room.
func New(cfg Config, log *slog.Logger) *OAuth {
	return &OAuth{cfg: cfg, log: log,
		root: cfg.Root, page: cfg.Page, who: cfg.Who, sessions: cfg.Sessions, accounts: cfg.Accounts, connections: cfg.Connections,
		devices: cfg.Devices, tokens: cfg.Tokens}
}
