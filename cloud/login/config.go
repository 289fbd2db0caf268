// Package login serves the pages where people get in: sign-in, invitation, first account, and mailed links.
//
//	/login ──► password ──► second factor, if on ──► the page they came for
//	/forgot ──► a mailed link ──► /reset        /verify · /confirm: the address is proven
//	/invite ──► an account, or the one they have        /first: the cloud's first person
//	/address: a new address is confirmed, or its change is stopped
//
// Opening a mailed link changes nothing, since programs that scan mail open links too; the form on its page does. Guesses
// at passwords and codes are limited in cloud/who and cloud/lockout. Signing in through an organization's provider is in
// cloud/sso, signing in terminals in cloud/oauth.
package login

import (
	"log/slog"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/joining"
	"github.com/acebridge/ace/cloud/lockout"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/who"
)

// Config holds everything that the room may use. Every field but FirstEmail is required.
type Config struct {
	FirstEmail string // may make the first account; empty: only an operator's command can
	Page       *page.Writer
	Who        *who.Finder
	Accounts   *accounts.Store
	Sessions   *accounts.Sessions
	SignIn     *signin.Store
	Links      *signin.Links
	Lockout    *lockout.Store
	Addresses  *addresses.Store
	Joining    *joining.Store
	SignUp     *signup.Store
	Outbox     *outbox.Outbox
	Mails      *api.Limiter // mails that people ask for
}

// Login is the pages where a person comes in.
type Login struct {
	cfg       Config
	log       *slog.Logger
	page      *page.Writer
	who       *who.Finder
	accounts  *accounts.Store
	sessions  *accounts.Sessions
	signin    *signin.Store
	links     *signin.Links
	lockout   *lockout.Store
	addresses *addresses.Store
	joining   *joining.Store
	signup    *signup.Store
	outbox    *outbox.Outbox
	mails     *api.Limiter
}

// New returns the room.
func New(cfg Config, log *slog.Logger) *Login {
	return &Login{cfg: cfg, log: log,
		page: cfg.Page, who: cfg.Who, accounts: cfg.Accounts, sessions: cfg.Sessions, signin: cfg.SignIn, links: cfg.Links, lockout: cfg.Lockout, addresses: cfg.Addresses, joining: cfg.Joining, signup: cfg.SignUp,
		outbox: cfg.Outbox, mails: cfg.Mails}
}
