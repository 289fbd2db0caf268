package cloud

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/web"
)

type newView struct {
	CloudURL        bridge.ServerURL
	MayAdd          bool            // a viewer may not
	Since           int64           // when the page was opened: it waits for what is connected after that
	Asked           bool            // whether there is something since then
	Connected       *api.Connection // that there is
	ServerURL, Name string
	Error           string
}

// newConnectionPage says how to connect a server, and whether that has been done since the page was opened. Its script asks
// for it again and again; without scripts a link does.
func (c *Cloud) newConnectionPage(ctx echo.Context, p accounts.Principal) error {
	view := newView{Since: c.cfg.Now().Unix()}
	if since, err := strconv.ParseInt(ctx.QueryParam("since"), 10, 64); err == nil {
		view.Since, view.Asked = since, true
		found, err := c.registry.Connections.ConnectedSince(ctx.Request().Context(), p, time.Unix(since, 0))
		if err != nil {
			return err
		}
		if len(found) > 0 {
			view.Connected = &found[0]
		}
	}
	return c.renderNew(ctx, p, http.StatusOK, view)
}

func (c *Cloud) renderNew(ctx echo.Context, p accounts.Principal, status int, view newView) error {
	view.CloudURL, view.MayAdd = c.cfg.PublicURL, p.Can("connection:create")
	return c.render(ctx, status, "new", web.Page{Title: "Add a connection", Path: "/connections", User: user(p), View: view})
}

func (c *Cloud) addConnection(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	key := bridge.NewSecret(r.PostForm.Get("api_key")).Disclose()
	req := api.RegisterRequest{ServerURL: r.PostForm.Get("server_url"), Name: r.PostForm.Get("name"), APIKey: &key}
	connection, _, err := c.registry.Connections.Register(r.Context(), caller(ctx, p), req)
	if err != nil {
		if ours(err) {
			return err
		}
		return c.renderNew(ctx, p, api.Status(err), newView{Since: c.cfg.Now().Unix(), ServerURL: req.ServerURL, Name: req.Name, Error: sentence(err)})
	}
	if _, err := c.check(r.Context(), p, connection.ID); err != nil {
		return err
	}
	return done(ctx, "added")
}
