// Package page writes pages: the frame around them, their policy, their forms and the words of an error.
//
//	request ──► SignedIn (or to the sign-in, and back) ──► a room's handler ──► Render ──► web's template
//	                                                          └── a failure ──► ErrorPage, or the form again
//
// Every response has the deny-all policy of [Strict]; a page replaces it with one that lets it load its own styles and
// scripts and nothing else. A form is bounded and read strictly. The package knows no page: rooms do.
package page

import (
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/who"
)

// ConfirmPath is the page where somebody confirms their address before anything else.
const ConfirmPath = "/confirm"

// Config is all that pages in general may touch.
type Config struct {
	Who      *who.Finder
	Accounts *accounts.Store // lists the organizations in the frame
}

// Writer writes pages. Its methods are safe for concurrent use.
type Writer struct {
	who      *who.Finder
	accounts *accounts.Store
}

// New returns a writer.
func New(cfg Config) *Writer { return &Writer{who: cfg.Who, accounts: cfg.Accounts} }
