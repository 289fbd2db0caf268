// Package oauth is the cloud's authorization server: RFC 6749, 7636, 7009, 8414, 8628, 8693 and 9207.
//
//	device flow:  device_authorization ──► a person approves at /device ──► token
//	browser flow: authorize (a page that always takes a click) ──► code, with PKCE S256 ──► token
//	refresh:      refresh token in, session token and next refresh token out; using an old one again ends the session
//	exchange:     a session token or API key in, a connect token for exactly one server out (RFC 8693)
//	revoke:       ends the session of a refresh token or a session token
//
// The life of a login:
//
//	asked ──► approved ──► redeemed once, by the program that asked ──► session ──► refreshed … ──► ended, or expired
//	  └──► denied, or expired
//
// There is one client, our own command line: public, with a redirect to a loopback address. Requests are forms in the body, no
// parameter may be repeated, and each address is rate-limited. Errors have OAuth's names and bodies. If the database is not
// available, the token endpoint answers temporarily_unavailable, because a client reacts to invalid_grant with a new login.
//
// Sessions, codes and device logins are stored by cloud/accounts; what a connect token says is decided by cloud/connections.
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

// Config is what the room needs. Every field is required.
type Config struct {
	PublicURL   bridge.ServerURL   // the cloud's own URL, the issuer
	Root        bridge.SigningRoot // signs connect tokens
	Page        *page.Writer
	Who         *who.Finder
	Sessions    *accounts.Sessions
	Accounts    *accounts.Store    // for its audit log
	Connections *connections.Store // decides the claims of connect tokens
	Devices     *api.Limiter       // device logins per address
	Tokens      *api.Limiter       // requests per address
	Now         func() time.Time
}

// OAuth is the authorization server. It is safe for concurrent use.
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
