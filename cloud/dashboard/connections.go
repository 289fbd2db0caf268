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
	"github.com/acebridge/ace/cloud/upkeep"
	"github.com/acebridge/ace/web"
)

// connectionList is the page that lists and searches connections.
type connectionList struct {
	page        *page.Writer
	connections *connections.Store
	upkeep      *upkeep.Upkeep
	cloud       bridge.ServerURL
}

func (l *connectionList) mount(e *echo.Echo) {
	e.GET("/connections", l.page.SignedIn(l.show))
}

type connectionsView struct {
	Cards []card
	// Undelivered lists revocations that servers have not accepted yet.
	Undelivered []api.Undelivered
	Next        string // address of the next page
	CloudURL    bridge.ServerURL

	Search   bool // the search form is shown
	Filtered bool
	Text     string
	Status   string
	Statuses []string
	Error    string
}

// card is a connection in the list.
type card struct {
	Connection api.Connection // not embedded: templates find embedded fields slowly
	Left       bool           // see [frame]
	Key        string         // see [keyKind]
	Way        string
	Try        bool // the script tries this one first
}

// fewConnections is how many connections are listed without a search form.
const fewConnections = 3

func (l *connectionList) show(ctx echo.Context, p accounts.Principal) error {
	asked := ctx.QueryParams()
	search := connections.Search{Text: strings.TrimSpace(asked.Get("q")), Status: asked.Get("status")}
	items, next, err := l.connections.SearchConnections(ctx.Request().Context(), p, search, asked.Get("cursor"), page.PageRows)
	status, failed := http.StatusOK, ""
	if err != nil && bridge.AsError(err).Kind == bridge.Invalid {
		status, failed, err = api.Status(err), page.Sentence(err), nil
	}
	if err != nil {
		return err
	}
	view := connectionsView{Cards: make([]card, len(items)), CloudURL: l.cloud, Error: failed,
		Filtered: search != connections.Search{}, Text: search.Text, Status: search.Status,
		Statuses: []string{connections.StatusOnline, connections.StatusOffline, connections.StatusUnauthorized, connections.StatusUnknown}}
	if view.Undelivered, err = l.upkeep.Undelivered(ctx.Request().Context(), p); err != nil {
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
	return l.page.Render(ctx, status, "connections", web.Page{Title: "Connections", Path: "/connections", User: page.User(p),
		Flash: page.Flashes[asked.Get("done")], View: view}, origins...)
}

// opening returns the index of the connection that the page tries at once, or -1. It prefers one that is online, then one of
// unknown status, and an ace key over a plain one, which only its owner may use directly.
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

// wayIn says how the server is reached, as far as the cloud knows; the script adds what the browser can do.
func wayIn(c api.Connection) string {
	if c.Way == api.WayTunnel && c.Status == connections.StatusOnline {
		return "Over its link."
	}
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
