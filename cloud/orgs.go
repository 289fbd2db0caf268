package cloud

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
)

// routeOrgs is the API of organizations: who is in them, and how one comes in.
func (c *Cloud) routeOrgs(v1 *echo.Group) {
	v1.POST("/organizations", c.person(c.createOrganization))
	v1.PATCH("/organizations/:org", c.may("organization:update", c.renameOrganization))
	v1.GET("/organizations/:org/members", c.may("member:read", c.listMembers))
	v1.PATCH("/organizations/:org/members/:id", c.may("member:update", c.patchMember))
	v1.DELETE("/organizations/:org/members/:id", c.member(c.removeMember)) // anybody may leave
	v1.GET("/organizations/:org/invitations", c.may("member:invite", c.listInvitations))
	v1.POST("/organizations/:org/invitations", c.may("member:invite", c.createInvitation))
	v1.DELETE("/organizations/:org/invitations/:id", c.may("member:invite", c.withdrawInvitation))
	v1.POST("/invitations/accept", c.person(c.acceptInvitation))
}

func (c *Cloud) createOrganization(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.NewOrganization](ctx)
	if err != nil {
		return err
	}
	org, err := c.registry.Accounts.CreateOrganization(ctx.Request().Context(), caller(ctx, p), body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusCreated, org)
}

func (c *Cloud) renameOrganization(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.OrganizationPatch](ctx)
	if err != nil {
		return err
	}
	org, err := c.registry.Accounts.RenameOrganization(ctx.Request().Context(), caller(ctx, p), ctx.Param("org"), body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, org)
}

func (c *Cloud) listMembers(ctx echo.Context, p accounts.Principal) error {
	items, next, err := c.registry.Accounts.Members(ctx.Request().Context(), p, ctx.Param("org"), ctx.QueryParam("cursor"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Member]{Items: items, NextCursor: next})
}

func (c *Cloud) patchMember(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.MemberPatch](ctx)
	if err != nil {
		return err
	}
	m, err := c.registry.Accounts.ChangeRole(ctx.Request().Context(), caller(ctx, p), ctx.Param("org"), ctx.Param("id"), body.Role)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, m)
}

func (c *Cloud) removeMember(ctx echo.Context, p accounts.Principal) error {
	removed, err := c.registry.Accounts.RemoveMember(ctx.Request().Context(), caller(ctx, p), ctx.Param("org"), ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, removed)
}

func (c *Cloud) listInvitations(ctx echo.Context, p accounts.Principal) error {
	items, next, err := c.registry.Accounts.Invitations(ctx.Request().Context(), p, ctx.Param("org"), ctx.QueryParam("cursor"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Invitation]{Items: items, NextCursor: next})
}

func (c *Cloud) createInvitation(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.NewInvitation](ctx)
	if err != nil {
		return err
	}
	invitation, err := c.invite(ctx, p, body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusCreated, invitation)
}

// invite is limited, because it may send mail to any address.
func (c *Cloud) invite(ctx echo.Context, p accounts.Principal, n api.NewInvitation) (api.Invitation, error) {
	if err := c.invitations.Allow("user:"+p.UserID, "org:"+p.OrgID); err != nil {
		return api.Invitation{}, err
	}
	return c.registry.Accounts.Invite(ctx.Request().Context(), caller(ctx, p), p.Org, n)
}

func (c *Cloud) withdrawInvitation(ctx echo.Context, p accounts.Principal) error {
	if err := c.registry.Accounts.Withdraw(ctx.Request().Context(), caller(ctx, p), ctx.Param("org"), ctx.Param("id")); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

func (c *Cloud) acceptInvitation(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.AcceptInvitation](ctx)
	if err != nil {
		return err
	}
	org, err := c.registry.SignIn.AcceptInvitation(ctx.Request().Context(), caller(ctx, p), body.Token.Secret)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, org)
}
