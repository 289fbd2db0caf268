// Package sso signs people in through their organization's provider, and keeps the provider's settings.
//
//	sign-in: begun (cookie, state, nonce, PKCE) ──► at the provider ──► back with a code ──► identity token ──► session
//	                                                                      └──► refused, with the cause for the admin's log
//	domain:  named ──► proven by a TXT record ──► its people are sent to the provider
//
// It is OpenID Connect (Core 1.0 section 3.1) with the checks of RFC 9700: each organization has a redirect URI of its own, the
// issuer is compared (RFC 9207), and an answer of the provider is bounded. Discovery and keys are kept for an hour. Who a
// vouched person is, and what they become, cloud/signin decides.
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

// Config is all that the room may touch.
type Config struct {
	PublicURL     bridge.ServerURL // the cloud's own URL, which the redirect URIs begin with
	Outbound      *http.Client
	ProviderTime  time.Duration // for one step of a sign-in; zero: 8 s
	LookupTXT     LookupTXT     // nil: the system's resolver
	Page          *page.Writer
	Who           *who.Finder
	Providers     *providers.Store
	Logins        *api.Limiter // guesses
	Tokens        *api.Limiter // requests of one address
	AccessChanged func()       // tells the relay that somebody's access may have changed
	Now           func() time.Time
}

// SSO signs people in through providers.
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
