package dashboard

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
)

type overviewView struct {
	Frame   frame
	Change  bool // who looks may change it
	Use     bool // who looks may call it
	Users   int  // people who lose it when it is gone
	Fix     snippet
	Show    []snippet // how it is used
	History historyView

	Undelivered []api.Undelivered // of this connection

	Failed string // the form that was sent in vain
	Error  string
	Name   string // as it is in the form
	URL    string
}

// snippet is text to copy, the part of that name.
type snippet struct{ ID, Label, Text string }

func (d *Dashboard) overviewPage(ctx echo.Context, p accounts.Principal) error {
	return d.renderOverview(ctx, http.StatusOK, p, "")
}

func (d *Dashboard) renderOverview(ctx echo.Context, status int, p accounts.Principal, failed string) error {
	f, err := d.frame(ctx, p, "")
	if err != nil {
		return err
	}
	r, id := ctx.Request(), f.Connection.ID
	view := overviewView{Frame: f, Error: failed, Change: f.Connection.Mine || f.Admin, Use: mayUse(p, f.Connection) && !f.Left,
		Fix:  snippet{ID: "fix", Label: "Command that fixes it", Text: commandOf(f.Connection.Hint)},
		Name: f.Connection.Name, URL: string(f.Connection.ServerURL)}
	if failed != "" {
		view.Failed = ctx.Param("action")
		view.Name, view.URL = orAsIs(r.PostForm.Get("name"), view.Name), orAsIs(r.PostForm.Get("server_url"), view.URL)
	}
	if view.Users, err = d.connections.Users(r.Context(), p, id); err != nil {
		return err
	}
	if view.History, err = d.historyOf(r.Context(), p, id); err != nil {
		return err
	}
	if view.Undelivered, err = d.upkeep.Undelivered(r.Context(), p); err != nil {
		return err
	}
	view.Undelivered = slices.DeleteFunc(view.Undelivered, func(u api.Undelivered) bool { return u.Connection != id })
	view.Show = d.howToUse(f)
	return d.renderTab(ctx, p, status, "connection", f, view)
}

func orAsIs(sent, is string) string {
	if sent == "" {
		return is
	}
	return sent
}

// howToUse is how the connection's server is called from a terminal and from a page of the vendor's own.
func (d *Dashboard) howToUse(f frame) []snippet {
	path := acePaths[0]
	if f.Key() != "ace" {
		path = "/"
	}
	return []snippet{
		{"use-terminal", "In a terminal", relayCommand(d.cfg.PublicURL, f.Connection.ID, path)},
		{"use-page", "In a page", `import { Ace } from "` + d.cfg.PublicURL.Join("/static/ace.js") + `";
const conn = await new Ace().connection("` + f.Connection.ID + `");
const answer = await conn.fetch("` + path + `");`},
	}
}

// relayCommand calls a path of a connection's server through the relay; there is no secret in it.
func relayCommand(cloud bridge.ServerURL, id, path string) string {
	return `curl -H "Authorization: Bearer $(ace auth token)" ` + bridge.ShellWord(cloud.Join(api.PathConnections+"/"+id+"/relay"+path))
}

var trailingCommand = regexp.MustCompile("^(?:.*: )?(ace [^`]+)$")

// commandOf is the command in a hint, which marks it with backticks or ends with it; empty where it has none.
func commandOf(hint string) string {
	if parts := strings.Split(hint, "`"); len(parts) > 2 {
		return parts[1]
	}
	if found := trailingCommand.FindStringSubmatch(hint); found != nil {
		return found[1]
	}
	return ""
}

// failOverview shows the page with the reason why nothing was done.
func (d *Dashboard) failOverview(ctx echo.Context, p accounts.Principal, err error) error {
	if who.Ours(err) || bridge.AsError(err).Kind == bridge.NotFound {
		return err
	}
	return d.renderOverview(ctx, api.Status(err), p, page.Sentence(err))
}

// changeConnection does what a form of a connection's page says.
func (d *Dashboard) changeConnection(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r, id := ctx.Request(), ctx.Param("id")
	sent, key := r.PostForm, bridge.NewSecret(r.PostForm.Get("api_key"))
	var patch api.ConnectionPatch
	done := ""
	switch ctx.Param("action") {
	case "check":
		done = "checked"
	case "rename":
		patch.Name, done = new(sent.Get("name")), "renamed"
	case "move":
		patch.ServerURL, done = new(sent.Get("server_url")), "moved"
		if !key.IsZero() {
			patch.APIKey = new(key.Disclose())
		}
	case "key":
		patch.APIKey, done = new(key.Disclose()), "key-replaced"
	case "delete":
		return d.deleteOnPage(ctx, p)
	default:
		return echo.NewHTTPError(http.StatusNotFound)
	}
	if done == "moved" && sent.Get("sure") != "yes" {
		return d.failOverview(ctx, p, page.ErrNotSure)
	}
	if patch != (api.ConnectionPatch{}) {
		if _, err := d.connections.Patch(r.Context(), who.Caller(ctx, p), id, patch); err != nil {
			return d.failOverview(ctx, p, err)
		}
	}
	if done == "checked" || patch.APIKey != nil {
		if _, err := d.servers.Check(r.Context(), p, id); err != nil {
			return d.failOverview(ctx, p, err)
		}
	}
	return ctx.Redirect(http.StatusSeeOther, "/connections/"+id+"?done="+done)
}

func (d *Dashboard) deleteOnPage(ctx echo.Context, p accounts.Principal) error {
	if ctx.Request().PostForm.Get("sure") != "yes" {
		return d.askDelete(ctx, p)
	}
	removed, err := d.servers.Disconnect(ctx, p, ctx.Param("id"), connections.AsItWas{})
	if err != nil {
		return d.failOverview(ctx, p, err)
	}
	switch due := removed.Revocation; {
	case due == nil || due.Status == "lost":
		return page.Done(ctx, "forgotten")
	case due.Status == "delivered":
		return page.Done(ctx, "disconnected")
	}
	return page.Done(ctx, "pending")
}
