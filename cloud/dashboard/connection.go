package dashboard

import (
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/web"
)

// tab is one of a connection's pages. Each has its own address, so that it works without scripts.
type tab struct {
	Path  string // below /connections/{id}
	Label string
	may   func(accounts.Principal, api.Connection) bool // nil: everybody who sees the connection
}

// connectionTabs lists a connection's pages in the order of the menu.
var connectionTabs = []tab{
	{Path: "", Label: "Overview"},
	{Path: "keys", Label: "Keys", may: mayUse},
	{Path: "sharing", Label: "Sharing"},
	{Path: "audit", Label: "Audit", may: mayReadAudit},
	{Path: "explorer", Label: "Explorer", may: mayUse},
}

// tabs opens and writes the pages of a connection.
type tabs struct {
	page        *page.Writer
	connections *connections.Store
}

// frame is the part that all pages of a connection share: heading and menu.
type frame struct {
	Connection api.Connection
	Tab        string // the path of the open tab
	Tabs       []tab
	Left       bool // the owner is gone, and admins can only disconnect it
	Admin      bool
}

// Key is the connection's [keyKind].
func (f frame) Key() string { return keyKind(f.Connection, f.Left) }

// Way says how the server is reached, see [wayIn].
func (f frame) Way() string { return wayIn(f.Connection) }

// keyKind tells scripts whether and how a connection can be called.
func keyKind(c api.Connection, left bool) string {
	switch {
	case left:
		return "left"
	case c.KeyID != "":
		return "ace"
	}
	return "plain"
}

func leftBehind(c api.Connection) bool { return c.OwnerGone && c.Visibility == connections.Private }

// open returns the frame of the connection in the URL, or not found if the member does not see it.
func (t *tabs) open(ctx echo.Context, p accounts.Principal, path string) (frame, error) {
	connection, err := t.connections.Connection(ctx.Request().Context(), p, ctx.Param("id"))
	if err != nil {
		return frame{}, err
	}
	f := frame{Connection: connection, Tab: path, Admin: p.Can("connection:manage"),
		Left: leftBehind(connection)}
	for _, tab := range connectionTabs {
		if tab.may == nil || tab.may(p, connection) {
			f.Tabs = append(f.Tabs, tab)
		}
	}
	return f, nil
}

// render writes one of a connection's pages, and lets its script call the connection's server.
func (t *tabs) render(ctx echo.Context, p accounts.Principal, status int, name string, f frame, view any) error {
	title := f.Connection.Name
	for _, tab := range f.Tabs {
		if tab.Path == f.Tab {
			title = tab.Label + " of " + title
		}
	}
	return t.page.Render(ctx, status, name, web.Page{Title: title, Path: "/connections", User: page.User(p),
		Flash: page.Flashes[ctx.QueryParam("done")], View: view}, f.Connection.ServerURL.Origin())
}
