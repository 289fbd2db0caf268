package dashboard

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

func (d *Dashboard) routeMemberPages(e *echo.Echo) {
	e.GET("/members", d.page.SignedIn(d.membersPage))
	e.POST("/members/invite", d.page.SignedIn(d.inviteMember))
	e.GET("/members/:id/remove", d.page.SignedIn(d.askRemove))
	e.POST("/members/:id/:action", d.page.SignedIn(d.changeMember))
	e.POST("/members/invitations/:id/withdraw", d.page.SignedIn(d.withdrawFromPage))
	e.GET("/organizations/new", d.page.SignedIn(d.newOrganizationPage))
	e.POST("/organizations", d.page.SignedIn(d.addOrganization))
	e.POST("/organizations/switch", d.page.SignedIn(d.switchOrganization))
}

type membersView struct {
	Members     []memberView
	Next        string
	Invitations []api.Invitation
	Invited     *api.Invitation // just now, with its link
	Mailed      bool
	NoMail      bool          // the cloud sends none, so that nobody new can prove an address by mail
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

// memberFlashes are what the page may say about what was just done.
var memberFlashes = map[string]string{
	"role": "The role was changed. It counts from their next request on.", "removed": "The member was removed, and their sessions have ended.",
	"left":      "The member was removed, and their sessions have ended. Their private connections are in your list of connections, to be disconnected.",
	"withdrawn": "The invitation was withdrawn. Its link is of no use any more.",
}

func (d *Dashboard) membersPage(ctx echo.Context, p accounts.Principal) error {
	return d.renderMembers(ctx, http.StatusOK, p, membersView{Form: api.NewInvitation{Role: string(bridge.RoleMember)}})
}

func (d *Dashboard) renderMembers(ctx echo.Context, status int, p accounts.Principal, view membersView) error {
	r := ctx.Request()
	members, next, err := d.accounts.Members(r.Context(), p, p.Org, ctx.QueryParam("cursor"), page.PageRows)
	if err != nil {
		return err
	}
	view.Next, view.MayInvite, view.MayAudit = next, p.Can("member:invite"), p.Can("audit:read")
	for _, role := range []bridge.Role{bridge.RoleViewer, bridge.RoleMember, bridge.RoleAdmin, bridge.RoleOwner} {
		if p.Role.AtLeast(role) {
			view.Give = append(view.Give, role)
		}
	}
	for _, m := range members {
		reach, me := p.Role.AtLeast(bridge.Role(m.Role)), m.ID == p.UserID
		view.Members = append(view.Members, memberView{Member: m, Me: me, Change: reach && p.Can("member:update"),
			Remove: me || reach && p.Can("member:remove")})
	}
	if view.MayInvite {
		if view.Invitations, _, err = d.accounts.Invitations(r.Context(), p, p.Org, "", 500); err != nil {
			return err
		}
	}
	return d.page.Render(ctx, status, "members", web.Page{Title: "Members", Path: "/members", User: page.User(p),
		Flash: memberFlashes[ctx.QueryParam("done")], View: view})
}

// failMembers shows the page with the reason why nothing was done.
func (d *Dashboard) failMembers(ctx echo.Context, p accounts.Principal, view membersView, err error) error {
	if view.Form.Role == "" {
		view.Form.Role = string(bridge.RoleMember)
	}
	if who.Ours(err) {
		return err
	}
	view.Error = page.Sentence(err)
	return d.renderMembers(ctx, api.Status(err), p, view)
}

func (d *Dashboard) inviteMember(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	if err := p.RequireScope("member:invite"); err != nil {
		return err
	}
	values := ctx.Request().PostForm
	n := api.NewInvitation{Email: strings.TrimSpace(values.Get("email")), Role: values.Get("role"), ExpiresIn: values.Get("expires_in")}
	invitation, err := d.who.Invite(ctx, p, n)
	if err != nil {
		return d.failMembers(ctx, p, membersView{Form: n}, err)
	}
	return d.renderMembers(ctx, http.StatusOK, p, membersView{Invited: &invitation, Form: api.NewInvitation{Role: string(bridge.RoleMember)},
		Mailed: invitation.Email != "" && d.outbox.SendsMail(), NoMail: !d.outbox.SendsMail()})
}

func (d *Dashboard) changeMember(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r, id := ctx.Request(), ctx.Param("id")
	done := ""
	var err error
	switch ctx.Param("action") {
	case "role":
		done = "role"
		if asked, err := d.askRole(ctx, p, id, r.PostForm.Get("role")); asked || err != nil {
			return err
		}
		_, err = d.accounts.ChangeRole(r.Context(), who.Caller(ctx, p), p.Org, id, r.PostForm.Get("role"))
	case "remove":
		if r.PostForm.Get("sure") != "yes" {
			return d.askRemove(ctx, p)
		}
		var removed api.RemovedMember
		removed, err = d.accounts.RemoveMember(r.Context(), who.Caller(ctx, p), p.Org, id)
		if done = "removed"; len(removed.Connections) > 0 {
			done = "left"
		}
	default:
		return echo.NewHTTPError(http.StatusNotFound)
	}
	if err != nil {
		return d.failMembers(ctx, p, membersView{}, err)
	}
	return ctx.Redirect(http.StatusSeeOther, "/members?done="+done)
}

func (d *Dashboard) withdrawFromPage(ctx echo.Context, p accounts.Principal) error {
	if err := d.accounts.Withdraw(ctx.Request().Context(), who.Caller(ctx, p), p.Org, ctx.Param("id")); err != nil {
		return d.failMembers(ctx, p, membersView{}, err)
	}
	return ctx.Redirect(http.StatusSeeOther, "/members?done=withdrawn")
}

type newOrganizationView struct {
	Form  api.NewOrganization
	Error string
}

func (d *Dashboard) newOrganizationPage(ctx echo.Context, p accounts.Principal) error {
	return d.page.Render(ctx, http.StatusOK, "neworg", web.Page{Title: "New organization", Path: "/members", User: page.User(p), View: newOrganizationView{}})
}

// addOrganization makes an organization and goes there.
func (d *Dashboard) addOrganization(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	n := api.NewOrganization{Slug: strings.TrimSpace(r.PostForm.Get("slug")), Name: strings.TrimSpace(r.PostForm.Get("name"))}
	if _, err := d.accounts.CreateOrganization(r.Context(), who.Caller(ctx, p), n); err != nil {
		if who.Ours(err) {
			return err
		}
		view := newOrganizationView{Form: n, Error: page.Sentence(err)}
		return d.page.Render(ctx, api.Status(err), "neworg", web.Page{Title: "New organization", Path: "/members", User: page.User(p), View: view})
	}
	return d.goTo(ctx, p, n.Slug, "/members")
}

func (d *Dashboard) switchOrganization(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	return d.goTo(ctx, p, ctx.Request().PostForm.Get("org"), "/connections")
}

// goTo moves the session to another organization; its cookie stays what it is.
func (d *Dashboard) goTo(ctx echo.Context, p accounts.Principal, org, path string) error {
	if _, err := d.sessions.SwitchSession(ctx.Request().Context(), who.Caller(ctx, p), org); err != nil {
		return err
	}
	return ctx.Redirect(http.StatusSeeOther, path)
}
