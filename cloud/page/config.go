// Package page writes pages: their frame, policy, forms and error messages.
//
//	request ──► SignedIn (or to the sign-in, and back) ──► a room's handler ──► Render ──► web's template
//	                                                          └── a failure ──► ErrorPage, or the form again
//
// Every response has the deny-all policy of [Strict]; a page replaces it with one that allows the cloud's own styles and
// scripts and nothing else. Forms are bounded and read strictly. The pages themselves are in dashboard, settings, login,
// oauth and sso.
package page

import (
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/who"
)

// ConfirmPath is the page where people confirm their address before anything else.
const ConfirmPath = "/confirm"

// Config holds everything that the writer may use. Every field is required.
type Config struct {
	Who      *who.Finder
	Accounts *accounts.Store // lists the person's organizations in the frame
}

// Writer writes pages. Its methods are safe for concurrent use.
type Writer struct {
	who      *who.Finder
	accounts *accounts.Store
}

// New returns a writer of pages.
func New(cfg Config) *Writer { return &Writer{who: cfg.Who, accounts: cfg.Accounts} }
