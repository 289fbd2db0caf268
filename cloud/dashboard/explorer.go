package dashboard

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/page"
)

// acePaths are the paths that the explorer suggests on an ace server, beginning with the first.
var acePaths = []string{"/ace/v1/me", "/.well-known/ace-server", "/ace/v1/scopes", "/ace/v1/api-keys", "/ace/v1/audit", "/ace/healthz"}

var exploredMethods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}

const maxExploredPath = 2000

// explorer is the tab that calls a connection's server by hand.
type explorer struct {
	page  *page.Writer
	tabs  *tabs
	cloud bridge.ServerURL
}

func (x *explorer) mount(e *echo.Echo) {
	e.GET("/connections/:id/explorer", x.page.SignedIn(x.show))
}

type explorerView struct {
	Frame   frame
	Methods []string
	Path    string   // filled in at the start
	Begin   bool     // the script calls it at once
	Paths   []string // suggestions
	Curl    string   // calls the path through the relay; holds no secret
}

func mayUse(p accounts.Principal, c api.Connection) bool {
	return p.Can("connection:use") && c.Access != connections.AccessNone
}

func (x *explorer) show(ctx echo.Context, p accounts.Principal) error {
	if err := p.RequireScope("connection:use"); err != nil {
		return err
	}
	f, err := x.tabs.open(ctx, p, "explorer")
	if err != nil {
		return err
	}
	view := explorerView{Frame: f, Methods: exploredMethods, Path: "/"}
	if f.Key() == "ace" {
		view.Path, view.Paths, view.Begin = acePaths[0], acePaths, true
	}
	if path := ctx.QueryParam("path"); strings.HasPrefix(path, "/") && bridge.PlainText(path, maxExploredPath) {
		view.Path, view.Begin = path, false // a link must not make calls by itself
	}
	view.Curl = relayCommand(x.cloud, f.Connection.ID, view.Path)
	return x.tabs.render(ctx, p, http.StatusOK, "connection_explorer", f, view)
}
