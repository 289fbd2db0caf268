// Package docs serves the documentation: to people as pages, to programs as Markdown.
//
//	/docs ──────────► the list of pages
//	/docs/NAME ─────► a page in the dashboard's frame; Markdown if the request accepts text/markdown
//	/docs/NAME.md ──► the Markdown, as it is in the repository's folder docs
//	/llms.txt ──────► the list of pages for language models (llmstxt.org)
//
// Everything here is public: nobody has to be signed in, and those who are see their menu. The pages are embedded in the binary, so
// they describe the version that serves them. They are rendered once, when the first one is asked for. HTML in the Markdown is
// dropped, links between pages lead to /docs, and links to files that a cloud does not serve become plain text.
package docs

import (
	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
)

// Config holds everything that the room may use.
type Config struct {
	PublicURL bridge.ServerURL // the links in /llms.txt begin with it
	Page      *page.Writer
	Who       *who.Finder // finds who is signed in, for the menu
}

// Docs serves the documentation. Its methods are safe for concurrent use.
type Docs struct {
	cfg Config
}

// New returns the room.
func New(cfg Config) *Docs { return &Docs{cfg: cfg} }
