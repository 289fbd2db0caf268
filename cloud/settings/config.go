// Package settings serves people's own settings, and the values a server needs to trust this cloud.
//
//	/settings            profile, and the e-mail address: a mailed link confirms a new one (cloud/login)
//	/settings/security   password, second factor, recovery codes
//	/settings/sessions   where the person is signed in
//	/settings/token      a developer token, shown once
//	/settings/trust      the variables with which a server trusts the organization; admins only
//
// Each page is a type with the fields it needs and its own routes. A form is answered with the page itself, which says what
// was done or what was wrong; a secret is in the answer of the form alone, never in a page that a GET shows.
//
// The page of the organization's sign-in provider, in the same menu, is in cloud/sso. The rules are in cloud/signin (passwords),
// cloud/factors, cloud/addresses and cloud/accounts (profile, sessions, trust).
package settings

import (
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/who"
)

// Config holds everything that the room may use. Every field is required.
type Config struct {
	PublicURL bridge.ServerURL // the cloud's own URL
	Page      *page.Writer
	Who       *who.Finder
	Accounts  *accounts.Store
	Sessions  *accounts.Sessions
	Passwords *signin.Passwords
	Factors   *factors.Store
	Addresses *addresses.Store
	Devices   *api.Limiter // tries of a second factor's first code
}

// Settings is the pages below /settings.
type Settings struct {
	pages []interface{ mount(e *echo.Echo) }
}

// New returns the room.
func New(cfg Config) *Settings {
	return &Settings{[]interface{ mount(e *echo.Echo) }{
		&profile{page: cfg.Page, who: cfg.Who, accounts: cfg.Accounts, addresses: cfg.Addresses},
		&security{page: cfg.Page, accounts: cfg.Accounts, passwords: cfg.Passwords, factors: cfg.Factors, devices: cfg.Devices},
		&sessions{page: cfg.Page, sessions: cfg.Sessions},
		&developerToken{page: cfg.Page, who: cfg.Who, cloud: cfg.PublicURL},
		&trust{page: cfg.Page, accounts: cfg.Accounts},
	}}
}

// Mount mounts the routes of all pages.
func (s *Settings) Mount(e *echo.Echo) {
	for _, p := range s.pages {
		p.mount(e)
	}
}

var errNoAction = bridge.E(bridge.Invalid, bridge.CodeFormMalformed, "the form does not say what to do")
