package cloud

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/web"
)

func (c *Cloud) routeMemberPages(e *echo.Echo) {
	e.GET("/members", c.page(c.membersPage))
	e.POST("/members/invite", c.page(c.inviteMember))
	e.GET("/members/:id/remove", c.page(c.askRemove))
	e.POST("/members/:id/:action", c.page(c.changeMember))
	e.POST("/members/invitations/:id/withdraw", c.page(c.withdrawFromPage))
	e.GET("/organizations/new", c.page(c.newOrganizationPage))
	e.POST("/organizations", c.page(c.addOrganization))
	e.POST("/organizations/switch", c.page(c.switchOrganization))
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

func (c *Cloud) membersPage(ctx echo.Context, p accounts.Principal) error {
	return c.renderMembers(ctx, http.StatusOK, p, membersView{Form: api.NewInvitation{Role: string(bridge.RoleMember)}})
}

func (c *Cloud) renderMembers(ctx echo.Context, status int, p accounts.Principal, view membersView) error {
	r := ctx.Request()
	members, next, err := c.registry.Accounts.Members(r.Context(), p, p.Org, ctx.QueryParam("cursor"), pageRows)
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
		if view.Invitations, _, err = c.registry.Accounts.Invitations(r.Context(), p, p.Org, "", 500); err != nil {
			return err
		}
	}
	return c.render(ctx, status, "members", web.Page{Title: "Members", Path: "/members", User: user(p),
		Flash: memberFlashes[ctx.QueryParam("done")], View: view})
}

// failMembers shows the page with the reason why nothing was done.
func (c *Cloud) failMembers(ctx echo.Context, p accounts.Principal, view membersView, err error) error {
	if view.Form.Role == "" {
		view.Form.Role = string(bridge.RoleMember)
	}
	if ours(err) {
		return err
	}
	view.Error = sentence(err)
	return c.renderMembers(ctx, api.Status(err), p, view)
}

func (c *Cloud) inviteMember(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	if err := p.Need("member:invite"); err != nil {
		return err
	}
	values := ctx.Request().PostForm
	n := api.NewInvitation{Email: strings.TrimSpace(values.Get("email")), Role: values.Get("role"), ExpiresIn: values.Get("expires_in")}
	invitation, err := c.invite(ctx, p, n)
	if err != nil {
		return c.failMembers(ctx, p, membersView{Form: n}, err)
	}
	return c.renderMembers(ctx, http.StatusOK, p, membersView{Invited: &invitation, Form: api.NewInvitation{Role: string(bridge.RoleMember)},
		Mailed: invitation.Email != "" && c.registry.Outbox.CanMail() == nil, NoMail: c.registry.Outbox.CanMail() != nil})
}

func (c *Cloud) changeMember(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	r, id := ctx.Request(), ctx.Param("id")
	done := ""
	var err error
	switch ctx.Param("action") {
	case "role":
		done = "role"
		if asked, err := c.askRole(ctx, p, id, r.PostForm.Get("role")); asked || err != nil {
			return err
		}
		_, err = c.registry.Accounts.ChangeRole(r.Context(), caller(ctx, p), p.Org, id, r.PostForm.Get("role"))
	case "remove":
		if r.PostForm.Get("sure") != "yes" {
			return c.askRemove(ctx, p)
		}
		var removed api.RemovedMember
		removed, err = c.registry.Accounts.RemoveMember(r.Context(), caller(ctx, p), p.Org, id)
		if done = "removed"; len(removed.Connections) > 0 {
			done = "left"
		}
	default:
		return echo.NewHTTPError(http.StatusNotFound)
	}
	if err != nil {
		return c.failMembers(ctx, p, membersView{}, err)
	}
	return ctx.Redirect(http.StatusSeeOther, "/members?done="+done)
}

func (c *Cloud) withdrawFromPage(ctx echo.Context, p accounts.Principal) error {
	if err := c.registry.Accounts.Withdraw(ctx.Request().Context(), caller(ctx, p), p.Org, ctx.Param("id")); err != nil {
		return c.failMembers(ctx, p, membersView{}, err)
	}
	return ctx.Redirect(http.StatusSeeOther, "/members?done=withdrawn")
}

type newOrganizationView struct {
	Form  api.NewOrganization
	Error string
}

func (c *Cloud) newOrganizationPage(ctx echo.Context, p accounts.Principal) error {
	return c.render(ctx, http.StatusOK, "neworg", web.Page{Title: "New organization", Path: "/members", User: user(p), View: newOrganizationView{}})
}

// addOrganization makes an organization and goes there.
func (c *Cloud) addOrganization(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	n := api.NewOrganization{Slug: strings.TrimSpace(r.PostForm.Get("slug")), Name: strings.TrimSpace(r.PostForm.Get("name"))}
	if _, err := c.registry.Accounts.CreateOrganization(r.Context(), caller(ctx, p), n); err != nil {
		if ours(err) {
			return err
		}
		view := newOrganizationView{Form: n, Error: sentence(err)}
		return c.render(ctx, api.Status(err), "neworg", web.Page{Title: "New organization", Path: "/members", User: user(p), View: view})
	}
	return c.goTo(ctx, p, n.Slug, "/members")
}

func (c *Cloud) switchOrganization(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	return c.goTo(ctx, p, ctx.Request().PostForm.Get("org"), "/connections")
}

// goTo moves the session to another organization; its cookie stays what it is.
func (c *Cloud) goTo(ctx echo.Context, p accounts.Principal, org, path string) error {
	if _, err := c.registry.Sessions.SwitchSession(ctx.Request().Context(), caller(ctx, p), org); err != nil {
		return err
	}
	return ctx.Redirect(http.StatusSeeOther, path)
}
