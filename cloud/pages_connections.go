package cloud

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/web"
)

type connectionsView struct {
	Connections []api.Connection
	Next        string
	CloudURL    bridge.ServerURL
	TryPath     string
}

// flashes are what a page may say about what was just done; the URL carries only the name.
var flashes = map[string]string{
	"added": "The connection was added.", "shared": "Everybody in the organization can use the connection now.",
	"ceiling": "The ceiling counts from now on, also for what is open.", "ceiling-lifted": "There is no ceiling any more.",
	"member-limit": "What the member may counts from now on, also for what is open.", "presets": "The server's presets were read.",
	"unshared": "The connection is private again.", "renamed": "The connection has a new name.", "checked": "Checked just now.",
	"key-disabled": "The key is disabled.", "key-enabled": "The key works again.", "key-revoked": "The key is revoked.",
	"disconnected":      "Disconnected. The key is revoked on the server.",
	"forgotten":         "Disconnected. The key is forgotten here and still valid on the server: revoke it there as well.",
	"joined":            "You have joined the organization.",
	"joined-unverified": "You have joined the organization. A mail was sent to your address: open its link to confirm that it is yours.",
	"pending":           "Disconnected. The server could not be reached: the revocation of its key is kept and delivered as soon as it answers.",
}

var errNotSure = bridge.E(bridge.Invalid, "not_confirmed", "tick the box to say that you are sure")

func (c *Cloud) connectionsPage(ctx echo.Context, p registry.Principal) error {
	items, next, err := c.registry.Connections(ctx.Request().Context(), p, ctx.QueryParam("cursor"), 0)
	if err != nil {
		return err
	}
	origins := make([]string, 0, len(items))
	for _, item := range items {
		origins = append(origins, item.ServerURL.Origin())
	}
	view := connectionsView{Connections: items, Next: next, CloudURL: c.cfg.PublicURL, TryPath: "/ace/v1/me"}
	return c.render(ctx, http.StatusOK, "connections", web.Page{Title: "Connections", Path: "/connections", User: user(p),
		Flash: flashes[ctx.QueryParam("done")], View: view}, origins...)
}

func done(ctx echo.Context, what string) error {
	return ctx.Redirect(http.StatusSeeOther, "/connections?done="+url.QueryEscape(what))
}

// changeConnection does what a button of a connection's card says.
func (c *Cloud) changeConnection(ctx echo.Context, p registry.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	r, id := ctx.Request(), ctx.Param("id")
	patch := func(patch api.ConnectionPatch, what string) error {
		if _, err := c.registry.Patch(r.Context(), p, id, patch, actor(ctx, p)); err != nil {
			return err
		}
		return done(ctx, what)
	}
	switch ctx.Param("action") {
	case "share":
		return patch(api.ConnectionPatch{Visibility: new(registry.Organization)}, "shared")
	case "unshare":
		return patch(api.ConnectionPatch{Visibility: new(registry.Private)}, "unshared")
	case "rename":
		return patch(api.ConnectionPatch{Name: new(r.PostForm.Get("name"))}, "renamed")
	case "check":
		if _, err := c.check(r.Context(), p, id); err != nil {
			return err
		}
		return done(ctx, "checked")
	case "delete":
		if r.PostForm.Get("sure") != "yes" {
			return errNotSure
		}
		removed, err := c.disconnect(ctx, p, id)
		if err != nil {
			return err
		}
		switch due := removed.Revocation; {
		case due == nil || due.Status == "lost":
			return done(ctx, "forgotten")
		case due.Status == "delivered":
			return done(ctx, "disconnected")
		}
		return done(ctx, "pending")
	}
	return echo.NewHTTPError(http.StatusNotFound)
}
