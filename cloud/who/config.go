// Package who finds out who calls, and refuses those who may not.
//
//	cookie ───────────► session ──┐
//	Bearer JWT ───────► session ──┼──► Principal ──► RequireScope · RequireCaller (anyone) · RequirePerson (no key)
//	API key, token ───► key ──────┘
//	none, unproven ───► refused; a page sends the person to sign in, or to confirm the address
//
// It reads the request alone: the Host must be the cloud's own, a cookie counts only on a request of the cloud's own pages,
// and a token is never taken from a URL. What is limited for all doors alike is here, too: guesses at passwords and codes,
// mail and invitations ([Finder.Guess] and its neighbors), and the calls to servers that are under way ([Quotas]).
//
// What somebody may do is not decided here: cloud/accounts and cloud/connections do.
package who

import (
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/signin"
)

// Config is all that the finder may touch. Every field but AllowedOrigins is required.
type Config struct {
	PublicURL      bridge.ServerURL   // the cloud's own URL
	AllowedOrigins []string           // browser origins whose pages may use the API with a token
	Root           bridge.SigningRoot // signs session tokens
	Keys           *keys.Authority    // of the cloud's own API
	Accounts       *accounts.Store
	Sessions       *accounts.Sessions
	SignIn         *signin.Store
	Addresses      *addresses.Store
	Links          *signin.Links
	Outbox         *outbox.Outbox
	Now            func() time.Time
	Limits         Limits
}

// Limits are what all doors count together.
type Limits struct {
	Logins      *api.Limiter // guesses at passwords and codes
	Mails       *api.Limiter // mails that somebody asks for
	Invitations *api.Limiter
}

// Finder finds out who calls. Its methods are safe for concurrent use.
type Finder struct {
	cfg         Config
	origin      bridge.ServerURL // the cloud's own URL without the path
	root        bridge.SigningRoot
	keys        *keys.Authority
	accounts    *accounts.Store
	sessions    *accounts.Sessions
	signin      *signin.Store
	addresses   *addresses.Store
	links       *signin.Links
	outbox      *outbox.Outbox
	logins      *api.Limiter
	mails       *api.Limiter
	invitations *api.Limiter
}

// New returns a finder.
func New(cfg Config) *Finder {
	return &Finder{cfg: cfg, origin: bridge.ServerURL(cfg.PublicURL.Origin()), root: cfg.Root, keys: cfg.Keys, accounts: cfg.Accounts,
		sessions: cfg.Sessions, signin: cfg.SignIn, addresses: cfg.Addresses, links: cfg.Links, outbox: cfg.Outbox, logins: cfg.Limits.Logins, mails: cfg.Limits.Mails,
		invitations: cfg.Limits.Invitations}
}
