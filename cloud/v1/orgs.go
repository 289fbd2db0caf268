package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/who"
)

// routeOrgs is the API of organizations: who is in them, and how one comes in.
func (v *API) routeOrgs(v1 *echo.Group) {
	v1.POST("/organizations", v.who.RequirePerson(v.createOrganization))
	v1.PATCH("/organizations/:org", v.who.RequireScope("organization:update", v.renameOrganization))
	v1.GET("/organizations/:org/members", v.who.RequireScope("member:read", v.listMembers))
	v1.PATCH("/organizations/:org/members/:id", v.who.RequireScope("member:update", v.patchMember))
	v1.DELETE("/organizations/:org/members/:id", v.who.RequireCaller(v.removeMember)) // anybody may leave
	v1.GET("/organizations/:org/invitations", v.who.RequireScope("member:invite", v.listInvitations))
	v1.POST("/organizations/:org/invitations", v.who.RequireScope("member:invite", v.createInvitation))
	v1.DELETE("/organizations/:org/invitations/:id", v.who.RequireScope("member:invite", v.withdrawInvitation))
	v1.POST("/invitations/accept", v.who.RequirePerson(v.acceptInvitation))
}

func (v *API) createOrganization(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.NewOrganization](ctx)
	if err != nil {
		return err
	}
	org, err := v.accounts.CreateOrganization(ctx.Request().Context(), who.Caller(ctx, p), body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusCreated, org)
}

func (v *API) renameOrganization(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.OrganizationPatch](ctx)
	if err != nil {
		return err
	}
	org, err := v.accounts.RenameOrganization(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("org"), body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, org)
}

func (v *API) listMembers(ctx echo.Context, p accounts.Principal) error {
	items, next, err := v.accounts.Members(ctx.Request().Context(), p, ctx.Param("org"), ctx.QueryParam("cursor"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Member]{Items: items, NextCursor: next})
}

func (v *API) patchMember(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.MemberPatch](ctx)
	if err != nil {
		return err
	}
	m, err := v.accounts.ChangeRole(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("org"), ctx.Param("id"), body.Role)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, m)
}

func (v *API) removeMember(ctx echo.Context, p accounts.Principal) error {
	removed, err := v.accounts.RemoveMember(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("org"), ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, removed)
}

func (v *API) listInvitations(ctx echo.Context, p accounts.Principal) error {
	items, next, err := v.accounts.Invitations(ctx.Request().Context(), p, ctx.Param("org"), ctx.QueryParam("cursor"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Invitation]{Items: items, NextCursor: next})
}

func (v *API) createInvitation(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.NewInvitation](ctx)
	if err != nil {
		return err
	}
	invitation, err := v.who.Invite(ctx, p, body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusCreated, invitation)
}

func (v *API) withdrawInvitation(ctx echo.Context, p accounts.Principal) error {
	if err := v.accounts.Withdraw(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("org"), ctx.Param("id")); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

func (v *API) acceptInvitation(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.AcceptInvitation](ctx)
	if err != nil {
		return err
	}
	org, err := v.joining.Accept(ctx.Request().Context(), who.Caller(ctx, p), body.Token.Secret)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, org)
}
