package dashboard

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/preview"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// members is the page of members and invitations.
type members struct {
	page     *page.Writer
	who      *who.Finder
	accounts *accounts.Store
	outbox   *outbox.Outbox
	preview  *preview.Preview
	servers  *servers.Servers
}

func (m *members) mount(e *echo.Echo) {
	e.GET("/members", m.page.SignedIn(m.show))
	e.POST("/members/invite", m.page.SignedIn(m.invite))
	e.GET("/members/:id/remove", m.page.SignedIn(m.askRemove))
	e.POST("/members/:id/:action", m.page.SignedIn(m.change))
	e.POST("/members/invitations/:id/withdraw", m.page.SignedIn(m.withdraw))
}

type membersView struct {
	Members     []memberView
	Next        string
	Invitations []api.Invitation
	Invited     *api.Invitation // just now, with its link
	Mailed      bool
	NoMail      bool          // the cloud sends no mail, so new people cannot verify an address
	Give        []bridge.Role // the roles that the person may give
	Form        api.NewInvitation
	MayInvite   bool
	MayAudit    bool
	Error       string
}

type memberView struct {
	api.Member
	Me, Change, Remove bool
}

// memberFlashes are the messages that the query "done" chooses from.
var memberFlashes = map[string]string{
	"role": "The role was changed. It counts from their next request on.", "removed": "The member was removed, and their sessions have ended.",
	"left":      "The member was removed, and their sessions have ended. Their private connections are in your list of connections, to be disconnected.",
	"withdrawn": "The invitation was withdrawn. Its link is of no use any more.",
}

func (m *members) show(ctx echo.Context, p accounts.Principal) error {
	return m.render(ctx, http.StatusOK, p, membersView{Form: api.NewInvitation{Role: string(bridge.RoleMember)}})
}

func (m *members) render(ctx echo.Context, status int, p accounts.Principal, view membersView) error {
	r := ctx.Request()
	list, next, err := m.accounts.Members(r.Context(), p, p.Org, ctx.QueryParam("cursor"), page.PageRows)
	if err != nil {
		return err
	}
	view.Next, view.MayInvite, view.MayAudit = next, p.Can("member:invite"), p.Can("audit:read")
	for _, role := range []bridge.Role{bridge.RoleViewer, bridge.RoleMember, bridge.RoleAdmin, bridge.RoleOwner} {
		if p.Role.AtLeast(role) {
			view.Give = append(view.Give, role)
		}
	}
	for _, one := range list {
		reach, me := p.Role.AtLeast(bridge.Role(one.Role)), one.ID == p.UserID
		view.Members = append(view.Members, memberView{Member: one, Me: me, Change: reach && p.Can("member:update"),
			Remove: me || reach && p.Can("member:remove")})
	}
	if view.MayInvite {
		if view.Invitations, _, err = m.accounts.Invitations(r.Context(), p, p.Org, "", 500); err != nil {
			return err
		}
	}
	return m.page.Render(ctx, status, "members", web.Page{Title: "Members", Path: "/members", User: page.User(p),
		Flash: memberFlashes[ctx.QueryParam("done")], View: view})
}

// fail shows the page again with the reason for a refusal.
func (m *members) fail(ctx echo.Context, p accounts.Principal, view membersView, err error) error {
	if view.Form.Role == "" {
		view.Form.Role = string(bridge.RoleMember)
	}
	if who.Ours(err) {
		return err
	}
	view.Error = page.Sentence(err)
	return m.render(ctx, api.Status(err), p, view)
}

func (m *members) invite(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	if err := p.RequireScope("member:invite"); err != nil {
		return err
	}
	values := ctx.Request().PostForm
	n := api.NewInvitation{Email: strings.TrimSpace(values.Get("email")), Role: values.Get("role"), ExpiresIn: values.Get("expires_in")}
	invitation, err := m.who.Invite(ctx, p, n)
	if err != nil {
		return m.fail(ctx, p, membersView{Form: n}, err)
	}
	return m.render(ctx, http.StatusOK, p, membersView{Invited: &invitation, Form: api.NewInvitation{Role: string(bridge.RoleMember)},
		Mailed: invitation.Email != "" && m.outbox.SendsMail(), NoMail: !m.outbox.SendsMail()})
}

func (m *members) change(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r, id := ctx.Request(), ctx.Param("id")
	done := ""
	var err error
	switch ctx.Param("action") {
	case "role":
		done = "role"
		if asked, err := m.askRole(ctx, p, id, r.PostForm.Get("role")); asked || err != nil {
			return err
		}
		_, err = m.accounts.ChangeRole(r.Context(), who.Caller(ctx, p), p.Org, id, r.PostForm.Get("role"))
	case "remove":
		if r.PostForm.Get("sure") != "yes" {
			return m.askRemove(ctx, p)
		}
		var removed api.RemovedMember
		removed, err = m.accounts.RemoveMember(r.Context(), who.Caller(ctx, p), p.Org, id)
		if done = "removed"; len(removed.Connections) > 0 {
			done = "left"
		}
	default:
		return echo.NewHTTPError(http.StatusNotFound)
	}
	if err != nil {
		return m.fail(ctx, p, membersView{}, err)
	}
	return ctx.Redirect(http.StatusSeeOther, "/members?done="+done)
}

func (m *members) withdraw(ctx echo.Context, p accounts.Principal) error {
	if err := m.accounts.Withdraw(ctx.Request().Context(), who.Caller(ctx, p), p.Org, ctx.Param("id")); err != nil {
		return m.fail(ctx, p, membersView{}, err)
	}
	return ctx.Redirect(http.StatusSeeOther, "/members?done=withdrawn")
}

// askRemove asks whether to remove a member, or to leave.
func (m *members) askRemove(ctx echo.Context, p accounts.Principal) error {
	id := ctx.Param("id")
	found, err := m.preview.EndsOfMember(ctx.Request().Context(), p, p.Org, id, "", m.servers.KeyAlive)
	if err != nil {
		return m.fail(ctx, p, membersView{}, err)
	}
	ends, leaving := api.Ends{Servers: m.servers.EndsOnServers(ctx, p, found)}, found.Member
	ends.Add(found.Here...)
	view := sureView{Ends: endsOf(ends, ""), Action: "/members/" + id + "/remove", Back: "/members"}
	kept := "Shared connections and the organization's API keys go on working."
	if id == p.UserID {
		view.Title, view.Box, view.Button = "Leave "+p.Org, "Yes, I leave", "Leave"
		view.Lead = []string{"You are signed out here at once, and can come back only with a new invitation.", kept}
		return askSure(ctx, m.page, p, "/members", view)
	}
	view.Title, view.Box, view.Button = "Remove "+leaving.Name, "Yes, remove "+leaving.Name, "Remove"
	view.Lead = []string{leaving.Email + " loses access at once. If they come back, they get a new membership and none of this.", kept}
	return askSure(ctx, m.page, p, "/members", view)
}

// askRole asks for confirmation if a lower role ends or limits anything; asked reports whether a response was written.
func (m *members) askRole(ctx echo.Context, p accounts.Principal, id, role string) (asked bool, err error) {
	if ctx.Request().PostForm.Get("sure") == "yes" {
		return false, nil
	}
	found, err := m.preview.EndsOfMember(ctx.Request().Context(), p, p.Org, id, role, m.servers.KeyAlive)
	if err != nil {
		return true, m.fail(ctx, p, membersView{}, err)
	}
	if bridge.Role(role).AtLeast(bridge.Role(found.Member.Role)) || len(found.Here) == 0 && len(found.Holders) == 0 {
		return false, nil
	}
	ends := api.Ends{Servers: m.servers.EndsOnServers(ctx, p, found)}
	ends.Add(found.Here...)
	title := "Give " + found.Member.Name + " the role " + role
	return true, askSure(ctx, m.page, p, "/members", sureView{Title: title, Heading: "What ends or is limited", Ends: endsOf(ends, ""),
		Lead:   []string{"The new role counts from their next request on. New access tokens have only what it allows."},
		Action: ctx.Request().URL.Path, Back: "/members", Box: "Yes, that is meant", Button: "Save", Fields: []field{{"role", role}}})
}
