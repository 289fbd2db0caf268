package dashboard

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/preview"
	"github.com/acebridge/ace/web"
)

// sureView asks for confirmation of a change, and says what else ends with it.
type sureView struct {
	Title, Heading string
	Lead           []string
	Ends           endsView
	Action, Back   string // addresses
	Box, Button    string
	Fields         []field // what the form says besides
	Error          string
}

// field is a hidden one of a form.
type field struct{ Name, Value string }

// askSure shows the question, with an error if the form was sent without its box ticked.
func (d *Dashboard) askSure(ctx echo.Context, p accounts.Principal, section string, view sureView) error {
	status := http.StatusOK
	if view.Heading == "" {
		view.Heading = "What ends"
	}
	if ctx.Request().Method == http.MethodPost && ctx.FormValue("sure") == "" && view.Error == "" && len(view.Fields) == 0 {
		status, view.Error = api.Status(page.ErrNotSure), page.Sentence(page.ErrNotSure)
	}
	return d.page.Render(ctx, status, "sure", web.Page{Title: view.Title, Path: section, User: page.User(p), View: view})
}

// askDelete asks whether to disconnect.
func (d *Dashboard) askDelete(ctx echo.Context, p accounts.Principal) error {
	r, id := ctx.Request().Context(), ctx.Param("id")
	connection, err := d.connections.Connection(r, p, id)
	if err != nil {
		return err
	}
	ends, err := d.servers.EndsOfDisconnect(ctx, p, id)
	if err != nil {
		return err
	}
	users, err := d.connections.Users(r, p, id)
	if err != nil {
		return err
	}
	key := "The key is forgotten here. The server keeps it: revoke it there as well."
	if connection.KeyID != "" {
		key = "The connection's key is revoked on the server, now or as soon as it answers."
	}
	return d.askSure(ctx, p, "/connections", sureView{Title: "Disconnect " + connection.Name, Lead: []string{whoLoses(connection, p, users), key},
		Ends: endsOf(ends, connection.ID), Action: "/connections/" + id + "/delete", Back: "/connections/" + id,
		Box: "Yes, disconnect " + connection.Name, Button: "Disconnect"})
}

// whoLoses says how many people lose a connection.
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

// askRemove asks whether to remove a member, or to leave.
func (d *Dashboard) askRemove(ctx echo.Context, p accounts.Principal) error {
	id := ctx.Param("id")
	found, err := d.preview.EndsOfMember(ctx.Request().Context(), p, p.Org, id, "", d.servers.KeyAlive)
	if err != nil {
		return d.failMembers(ctx, p, membersView{}, err)
	}
	ends, m := api.Ends{Servers: d.servers.EndsOnServers(ctx, p, found)}, found.Member
	ends.Add(found.Here...)
	view := sureView{Ends: endsOf(ends, ""), Action: "/members/" + id + "/remove", Back: "/members"}
	kept := "Shared connections and the organization's API keys go on working."
	if id == p.UserID {
		view.Title, view.Box, view.Button = "Leave "+p.Org, "Yes, I leave", "Leave"
		view.Lead = []string{"You are signed out here at once, and can come back only with a new invitation.", kept}
		return d.askSure(ctx, p, "/members", view)
	}
	view.Title, view.Box, view.Button = "Remove "+m.Name, "Yes, remove "+m.Name, "Remove"
	view.Lead = []string{m.Email + " loses access at once. If they come back, they get a new membership and none of this.", kept}
	return d.askSure(ctx, p, "/members", view)
}

// askRole asks for confirmation of a lower role if that ends or limits anything. asked reports whether it has answered, with
// the question or an error.
func (d *Dashboard) askRole(ctx echo.Context, p accounts.Principal, id, role string) (asked bool, err error) {
	if ctx.Request().PostForm.Get("sure") == "yes" {
		return false, nil
	}
	found, err := d.preview.EndsOfMember(ctx.Request().Context(), p, p.Org, id, role, d.servers.KeyAlive)
	if err != nil {
		return true, d.failMembers(ctx, p, membersView{}, err)
	}
	m := found.Member
	if bridge.Role(role).AtLeast(bridge.Role(m.Role)) || len(found.Here) == 0 && len(found.Holders) == 0 {
		return false, nil
	}
	ends := api.Ends{Servers: d.servers.EndsOnServers(ctx, p, found)}
	ends.Add(found.Here...)
	title := "Give " + m.Name + " the role " + role
	return true, d.askSure(ctx, p, "/members", sureView{Title: title, Heading: "What ends or is limited", Ends: endsOf(ends, ""),
		Lead:   []string{"The new role counts from their next request on. New access tokens have only what it allows."},
		Action: ctx.Request().URL.Path, Back: "/members", Box: "Yes, that is meant", Button: "Save", Fields: []field{{"role", role}}})
}

// askLess asks for confirmation of a lower limit or ceiling if that ends anything; asked reports whether it did.
func (d *Dashboard) askLess(ctx echo.Context, p accounts.Principal, title string, found preview.Ends) (asked bool, err error) {
	if len(found.Here) == 0 && len(found.Holders) == 0 {
		return false, nil
	}
	ends := api.Ends{Servers: d.servers.EndsOnServers(ctx, p, found)}
	ends.Add(found.Here...)
	view := endsOf(ends, "")
	r := ctx.Request()
	return true, d.askSure(ctx, p, "/connections", sureView{Title: title, Heading: "What ends or is limited", Ends: view,
		Lead:   []string{"This counts at once, even for open streams. Whoever keeps access gets new access tokens with less."},
		Action: r.URL.Path, Back: "/connections/" + ctx.Param("id") + "/sharing", Box: "Yes, that is meant", Button: "Save",
		Fields: []field{{"to", r.PostForm.Get("to")}, {"scopes", r.PostForm.Get("scopes")}}})
}
