// Package who identifies the caller of a request, and refuses callers who may not continue.
//
//	cookie ───────────► session ──┐
//	Bearer JWT ───────► session ──┼──► Principal ──► RequireScope · RequireCaller (anyone) · RequirePerson (no key)
//	API key, token ───► key ──────┘
//	none, unproven ───► refused; a page sends the person to sign in, or to confirm their address
//
// It reads nothing but the request: the Host must be the cloud's own, a cookie counts only on requests from the cloud's own
// pages, and tokens are never taken from a URL. A session token is checked against its session, so a sign-out counts at once;
// a key is verified in memory.
//
// Limits that all entrances share are here, too: on guessing passwords and codes, on mails and invitations ([Finder.Guess],
// [Finder.RequestAddress], [Finder.Invite]), and on simultaneous calls to servers ([Quotas]).
//
// What a caller may do is not decided here but in cloud/accounts and cloud/connections.
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

// Config is what a finder needs. Every field but AllowedOrigins is required.
type Config struct {
	PublicURL      bridge.ServerURL   // the cloud's own URL
	AllowedOrigins []string           // browser origins whose pages may use the API with a token
	Root           bridge.SigningRoot // signs session tokens
	Keys           *keys.Authority    // for the cloud's own API
	Accounts       *accounts.Store
	Sessions       *accounts.Sessions
	SignIn         *signin.Store
	Addresses      *addresses.Store
	Links          *signin.Links
	Outbox         *outbox.Outbox
	Now            func() time.Time
	Limits         Limits
}

// Limits are the rate limits that all entrances share.
type Limits struct {
	Logins      *api.Limiter // guesses at passwords and codes
	Mails       *api.Limiter // mails that somebody requests
	Invitations *api.Limiter // invitations, which may send mail
}

// Finder identifies callers. It is safe for concurrent use.
type Finder struct {
	cfg         Config
	origin      bridge.ServerURL // the cloud's own URL without its path
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
