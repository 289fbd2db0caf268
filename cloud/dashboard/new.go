package dashboard

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/joins"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// newConnection is the page that says how to connect a server, with a form for its key.
type newConnection struct {
	page        *page.Writer
	connections *connections.Store
	joins       *joins.Store
	servers     *servers.Servers
	cloud       bridge.ServerURL
	now         func() time.Time
}

func (n *newConnection) mount(e *echo.Echo) {
	e.GET("/connections/new", n.page.SignedIn(n.show))
	e.POST("/connections", n.page.SignedIn(n.add))
	e.POST("/connections/join", n.page.SignedIn(n.makeToken))
	e.POST("/connections/join/:id/revoke", n.page.SignedIn(n.revokeToken))
}

type newView struct {
	CloudURL        bridge.ServerURL
	MayAdd          bool            // a viewer may not
	Since           int64           // when the page was opened; it waits for newer connections
	Asked           bool            // the script or the link asked for newer connections
	Connected       *api.Connection // the first newer one
	ServerURL, Name string
	Error           string
	joinView
}

// show says how to connect a server, and whether one was connected since the page was opened. A script polls it; without
// scripts there is a link.
func (n *newConnection) show(ctx echo.Context, p accounts.Principal) error {
	view := newView{Since: n.now().Unix()}
	if since, err := strconv.ParseInt(ctx.QueryParam("since"), 10, 64); err == nil {
		view.Since, view.Asked = since, true
		found, err := n.connections.ConnectedSince(ctx.Request().Context(), p, time.Unix(since, 0))
		if err != nil {
			return err
		}
		if len(found) > 0 {
			view.Connected = &found[0]
		}
	}
	return n.render(ctx, p, http.StatusOK, view)
}

func (n *newConnection) render(ctx echo.Context, p accounts.Principal, status int, view newView) error {
	view.CloudURL, view.MayAdd = n.cloud, p.Can("connection:create")
	if err := n.tokens(ctx, p, &view); err != nil {
		return err
	}
	return n.page.Render(ctx, status, "new", web.Page{Title: "Add a server", Path: "/connections", User: page.User(p), View: view})
}

func (n *newConnection) add(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	key := bridge.NewSecret(r.PostForm.Get("api_key")).Disclose()
	req := api.RegisterRequest{ServerURL: r.PostForm.Get("server_url"), Name: r.PostForm.Get("name"), APIKey: &key}
	connection, _, err := n.connections.Register(r.Context(), who.Caller(ctx, p), req)
	if err != nil {
		if who.Ours(err) {
			return err
		}
		return n.render(ctx, p, api.Status(err), newView{Since: n.now().Unix(), ServerURL: req.ServerURL, Name: req.Name, Error: page.Sentence(err)})
	}
	if _, err := n.servers.Check(r.Context(), p, connection.ID); err != nil {
		return err
	}
	return page.Done(ctx, "added")
}
