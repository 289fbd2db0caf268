// Package sso signs people in through their organization's provider, and manages the provider's settings.
//
//	sign-in: begun (cookie, state, nonce, PKCE) ──► at the provider ──► back with a code ──► ID token ──► session
//	                                                                      └──► refused, with the cause in the cloud's log
//	domain:  named ──► proven by a TXT record ──► its people are sent to the provider
//
// It implements OpenID Connect (Core 1.0 section 3.1) with the checks of RFC 9700: each organization has its own redirect URI,
// the issuer is compared (RFC 9207), only signatures that take the provider's private key count, and claims are decoded
// strictly. The address of a provider is typed in by a customer, so it is called by the rules of cloud/outbound, and the time
// and size of its answers are bounded. Discovery documents and keys are cached for an hour.
//
// A sign-in is remembered in the database and in a cookie. It can be finished once, in the browser in which it began.
//
// Who a vouched person is, and what role they get, is decided by cloud/providers.
package sso

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/providers"
	"github.com/acebridge/ace/cloud/who"
)

// Config is what the room needs. Every field without a default is required.
type Config struct {
	PublicURL     bridge.ServerURL // the cloud's own URL; redirect URIs are below it
	Outbound      *http.Client
	ProviderTime  time.Duration // time limit for one step of a sign-in; zero: 8 s
	LookupTXT     LookupTXT     // nil: the system's resolver
	Page          *page.Writer
	Who           *who.Finder
	Providers     *providers.Store
	Logins        *api.Limiter // tests of a provider
	Tokens        *api.Limiter // sign-ins per address
	AccessChanged func()       // tells the relay that somebody's access may have changed
	Now           func() time.Time
}

// SSO signs people in through providers. It is safe for concurrent use.
type SSO struct {
	cfg             Config
	log             *slog.Logger
	page            *page.Writer
	who             *who.Finder
	signinProviders *providers.Store
	logins          *api.Limiter
	tokens          *api.Limiter
	accessChanged   func()
	providers       *discovery
}

// New returns the room.
func New(cfg Config, log *slog.Logger) *SSO {
	if cfg.LookupTXT == nil {
		cfg.LookupTXT = net.DefaultResolver.LookupTXT
	}
	return &SSO{cfg: cfg, log: log,
		page: cfg.Page, who: cfg.Who, signinProviders: cfg.Providers, logins: cfg.Logins, tokens: cfg.Tokens,
		accessChanged: cfg.AccessChanged,
		providers:     newDiscovery(cfg.Outbound, cfg.PublicURL.Loopback(), cfg.ProviderTime, cfg.Now)}
}
