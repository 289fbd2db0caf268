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
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/upkeep"
	"github.com/acebridge/ace/cloud/who"
)

// overview is a connection's first tab: its state, its use, and what changes or ends it.
type overview struct {
	page        *page.Writer
	tabs        *tabs
	connections *connections.Store
	servers     *servers.Servers
	upkeep      *upkeep.Upkeep
	history     *connections.History
	cloud       bridge.ServerURL
}

func (o *overview) mount(e *echo.Echo) {
	e.GET("/connections/:id", o.page.SignedIn(o.show))
	e.GET("/connections/:id/delete", o.page.SignedIn(o.askDisconnect))
	e.POST("/connections/:id/:action", o.page.SignedIn(o.change))
}

type overviewView struct {
	Frame   frame
	Change  bool // the reader may change it
	Use     bool // the reader may call it
	Users   int  // people who lose access if it is disconnected
	Fix     snippet
	Show    []snippet // how it is used
	History historyView

	Undelivered []api.Undelivered // of this connection

	Failed string // the action of the form that failed
	Error  string
	Name   string // as filled in
	URL    string
}

// snippet is text to copy (template part "snippet").
type snippet struct{ ID, Label, Text string }

func (o *overview) show(ctx echo.Context, p accounts.Principal) error {
	return o.render(ctx, http.StatusOK, p, "")
}

func (o *overview) render(ctx echo.Context, status int, p accounts.Principal, failed string) error {
	f, err := o.tabs.open(ctx, p, "")
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
	if view.Users, err = o.connections.Users(r.Context(), p, id); err != nil {
		return err
	}
	if view.History, err = o.historyOf(r.Context(), p, id); err != nil {
		return err
	}
	if view.Undelivered, err = o.upkeep.Undelivered(r.Context(), p); err != nil {
		return err
	}
	view.Undelivered = slices.DeleteFunc(view.Undelivered, func(u api.Undelivered) bool { return u.Connection != id })
	view.Show = o.howToUse(f)
	return o.tabs.render(ctx, p, status, "connection", f, view)
}

func orAsIs(sent, is string) string {
	if sent == "" {
		return is
	}
	return sent
}

// howToUse shows how to call the server from a terminal and from a web page.
func (o *overview) howToUse(f frame) []snippet {
	path := acePaths[0]
	if f.Key() != "ace" {
		path = "/"
	}
	return []snippet{
		{"use-terminal", "In a terminal", relayCommand(o.cloud, f.Connection.ID, path)},
		{"use-page", "In a page", `import { Ace } from "` + o.cloud.Join("/static/ace.js") + `";
const conn = await new Ace().connection("` + f.Connection.ID + `");
const answer = await conn.fetch("` + path + `");`},
	}
}

// relayCommand returns a command that calls a path through the relay; it holds no secret.
func relayCommand(cloud bridge.ServerURL, id, path string) string {
	return `curl -H "Authorization: Bearer $(ace auth token)" ` + bridge.ShellWord(cloud.Join(api.PathConnections+"/"+id+"/relay"+path))
}

var trailingCommand = regexp.MustCompile("^(?:.*: )?(ace [^`]+)$")

// commandOf returns the command in a hint, which has it in backticks or at its end, or "".
func commandOf(hint string) string {
	if parts := strings.Split(hint, "`"); len(parts) > 2 {
		return parts[1]
	}
	if found := trailingCommand.FindStringSubmatch(hint); found != nil {
		return found[1]
	}
	return ""
}

// fail shows the page again with the reason for a refusal.
func (o *overview) fail(ctx echo.Context, p accounts.Principal, err error) error {
	if who.Ours(err) || bridge.AsError(err).Kind == bridge.NotFound {
		return err
	}
	return o.render(ctx, api.Status(err), p, page.Sentence(err))
}

// change does what a form of the page asks for.
func (o *overview) change(ctx echo.Context, p accounts.Principal) error {
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
		return o.disconnect(ctx, p)
	default:
		return echo.NewHTTPError(http.StatusNotFound)
	}
	if done == "moved" && sent.Get("sure") != "yes" {
		return o.fail(ctx, p, page.ErrNotSure)
	}
	if patch != (api.ConnectionPatch{}) {
		if _, err := o.connections.Patch(r.Context(), who.Caller(ctx, p), id, patch); err != nil {
			return o.fail(ctx, p, err)
		}
	}
	if done == "checked" || patch.APIKey != nil {
		if _, err := o.servers.Check(r.Context(), p, id); err != nil {
			return o.fail(ctx, p, err)
		}
	}
	return ctx.Redirect(http.StatusSeeOther, "/connections/"+id+"?done="+done)
}

func (o *overview) disconnect(ctx echo.Context, p accounts.Principal) error {
	if ctx.Request().PostForm.Get("sure") != "yes" {
		return o.askDisconnect(ctx, p)
	}
	removed, err := o.servers.Disconnect(ctx, p, ctx.Param("id"), connections.AsItWas{})
	if err != nil {
		return o.fail(ctx, p, err)
	}
	switch due := removed.Revocation; {
	case due == nil || due.Status == "lost":
		return page.Done(ctx, "forgotten")
	case due.Status == "delivered":
		return page.Done(ctx, "disconnected")
	}
	return page.Done(ctx, "pending")
}

// askDisconnect asks whether to disconnect, and says what that ends.
func (o *overview) askDisconnect(ctx echo.Context, p accounts.Principal) error {
	r, id := ctx.Request().Context(), ctx.Param("id")
	connection, err := o.connections.Connection(r, p, id)
	if err != nil {
		return err
	}
	ends, err := o.servers.EndsOfDisconnect(ctx, p, id)
	if err != nil {
		return err
	}
	users, err := o.connections.Users(r, p, id)
	if err != nil {
		return err
	}
	key := "The key is forgotten here. The server keeps it: revoke it there as well."
	if connection.KeyID != "" {
		key = "The connection's key is revoked on the server, now or as soon as it answers."
	}
	return askSure(ctx, o.page, p, "/connections", sureView{Title: "Disconnect " + connection.Name, Lead: []string{whoLoses(connection, p, users), key},
		Ends: endsOf(ends, connection.ID), Action: "/connections/" + id + "/delete", Back: "/connections/" + id,
		Box: "Yes, disconnect " + connection.Name, Button: "Disconnect"})
}

// whoLoses says how many people lose access.
func whoLoses(c api.Connection, p accounts.Principal, users int) string {
	switch {
	case leftBehind(c):
		return "Nobody has used it since " + c.Owner + " left."
	case users == 0:
		return "No person loses access, but API keys of " + p.Org + " do."
	case users == 1 && c.Mine:
		return "1 person loses access at once: you."
	case users == 1:
		return "1 person loses access at once."
	case c.Mine || c.Visibility == connections.Organization:
		return count(users, "", "people lose access at once, you among them.")
	}
	return count(users, "", "people lose access at once.")
}
