package cloud

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/web"
)

type connectionsView struct {
	Cards []card
	// Undelivered are the statements that servers have not taken yet.
	Undelivered []api.Undelivered
	Next        string // address of the next page
	CloudURL    bridge.ServerURL

	Search   bool // there is something to search among
	Filtered bool
	Text     string
	Status   string
	Statuses []string
	Error    string
}

// card is a connection in the list.
type card struct {
	Connection api.Connection // not embedded: templates find such fields slowly, and there are many cards
	Left       bool           // see [frame]
	Key        string         // see [keyKind]
	Way        string
	Try        bool // the page opens on this one
}

// fewConnections are those that nobody has to search among.
const fewConnections = 3

// flashes are what a page may say about what was just done; the URL carries only the name.
var flashes = map[string]string{
	"added": "The connection was added.", "shared": "Everybody in the organization can use the connection now.",
	"ceiling": "The ceiling counts from now on, also for what is open.", "ceiling-lifted": "There is no ceiling any more.",
	"member-limit": "What the member may counts from now on, also for what is open.", "presets": "The server's presets were read.",
	"unshared": "The connection is private again.", "renamed": "The connection has a new name.", "checked": "Checked just now.",
	"moved":        "The connection has another URL.",
	"key-replaced": "The connection has another key. The old one is revoked on the server, if it can revoke keys.",
	"key-disabled": "The key is disabled.", "key-enabled": "The key works again.", "key-revoked": "The key is revoked.",
	"disconnected": "Disconnected. The key is revoked on the server.",
	"forgotten":    "Disconnected. The key is forgotten here and still valid on the server: revoke it there as well.",
	"joined":       "You have joined the organization.",
	"pending":      "Disconnected. The server could not be reached: the revocation of its key is kept and delivered as soon as it answers.",
}

var errNotSure = bridge.E(bridge.Invalid, bridge.CodeNotConfirmed, "tick the box to say that you are sure")

// mountDashboard mounts the pages of people who are signed in.
func (c *Cloud) mountDashboard(e *echo.Echo) {
	e.GET("/connections", c.page(c.connectionsPage))
	e.POST("/connections", c.page(c.addConnection))
	e.GET("/connections/new", c.page(c.newConnectionPage))
	e.GET("/connections/:id", c.page(c.overviewPage))
	e.GET("/connections/:id/audit", c.page(c.connectionAuditPage))
	e.GET("/connections/:id/explorer", c.page(c.explorerPage))
	c.routeServerKeys(e)
	e.GET("/connections/:id/delete", c.page(c.askDelete))
	e.POST("/connections/:id/:action", c.page(c.changeConnection))
	c.routeSharingPages(e)
	c.routeKeyPages(e)
	c.routeMemberPages(e)
	e.GET("/audit", c.page(c.auditPage))
	c.routeSettings(e)
}

func (c *Cloud) connectionsPage(ctx echo.Context, p accounts.Principal) error {
	asked := ctx.QueryParams()
	search := connections.Search{Text: strings.TrimSpace(asked.Get("q")), Status: asked.Get("status")}
	items, next, err := c.registry.Connections.SearchConnections(ctx.Request().Context(), p, search, asked.Get("cursor"), pageRows)
	status, failed := http.StatusOK, ""
	if err != nil && bridge.AsError(err).Kind == bridge.Invalid {
		status, failed, err = api.Status(err), sentence(err), nil
	}
	if err != nil {
		return err
	}
	view := connectionsView{Cards: make([]card, len(items)), CloudURL: c.cfg.PublicURL, Error: failed,
		Filtered: search != connections.Search{}, Text: search.Text, Status: search.Status,
		Statuses: []string{connections.StatusOnline, connections.StatusOffline, connections.StatusUnauthorized, connections.StatusUnknown}}
	if view.Undelivered, err = c.registry.Upkeep.Undelivered(ctx.Request().Context(), p); err != nil {
		return err
	}
	view.Search = view.Filtered || len(items) > fewConnections || asked.Has("cursor")
	if next != "" {
		asked.Set("cursor", next)
		asked.Del("done")
		view.Next = "/connections?" + asked.Encode()
	}
	origins := make([]string, 0, len(items))
	for i, item := range items {
		left := leftBehind(item)
		view.Cards[i] = card{Connection: item, Left: left, Key: keyKind(item, left), Way: wayIn(item)}
		origins = append(origins, item.ServerURL.Origin())
	}
	if i := opening(view.Cards); i >= 0 {
		first := view.Cards[i]
		first.Try = true
		copy(view.Cards[1:], view.Cards[:i])
		view.Cards[0] = first
	}
	return c.render(ctx, status, "connections", web.Page{Title: "Connections", Path: "/connections", User: user(p),
		Flash: flashes[asked.Get("done")], View: view}, origins...)
}

// opening is the connection that the page opens on, so that there is nothing to click: the first that works, or else that
// may; -1 where none does. A plain key counts less, since it is shown to its owner alone.
func opening(cards []card) int {
	best, most := -1, 0
	for i, one := range cards {
		rank := 0
		switch {
		case one.Left:
			continue
		case one.Connection.Status == connections.StatusOnline:
			rank = 4
		case one.Connection.Status == connections.StatusUnknown:
			rank = 2
		}
		if one.Key == "ace" {
			rank++
		}
		if best < 0 || rank > most {
			best, most = i, rank
		}
	}
	return best
}

// wayIn is how the server is reached, as far as the cloud knows; the script knows what the browser can do beside.
func wayIn(c api.Connection) string {
	switch c.Status {
	case connections.StatusOnline, connections.StatusUnauthorized:
		return "Through the relay."
	case connections.StatusUnknown:
		if c.Cause != connections.NotChecked {
			return "From this network only."
		}
	}
	return ""
}

func done(ctx echo.Context, what string) error {
	return ctx.Redirect(http.StatusSeeOther, "/connections?done="+url.QueryEscape(what))
}
