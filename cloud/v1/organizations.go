package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/joining"
	"github.com/acebridge/ace/cloud/who"
)

// organizationAPI answers for organizations: who belongs to them, how people come in, and what their servers trust.
type organizationAPI struct {
	who      *who.Finder
	accounts *accounts.Store
	joining  *joining.Store
}

func (o *organizationAPI) mount(e *echo.Echo) {
	e.GET("/v1/organizations", o.who.RequireScope("organization:read", o.list))
	e.POST("/v1/organizations", o.who.RequirePerson(o.create))
	e.PATCH("/v1/organizations/:org", o.who.RequireScope("organization:update", o.rename))
	e.GET("/v1/organizations/:org/trust", o.who.RequireScope("organization:trust", o.trust))
	e.GET("/v1/organizations/:org/members", o.who.RequireScope("member:read", o.listMembers))
	e.PATCH("/v1/organizations/:org/members/:id", o.who.RequireScope("member:update", o.patchMember))
	e.DELETE("/v1/organizations/:org/members/:id", o.who.RequireCaller(o.removeMember)) // anybody may leave
	e.GET("/v1/organizations/:org/invitations", o.who.RequireScope("member:invite", o.listInvitations))
	e.POST("/v1/organizations/:org/invitations", o.who.RequireScope("member:invite", o.createInvitation))
	e.DELETE("/v1/organizations/:org/invitations/:id", o.who.RequireScope("member:invite", o.withdrawInvitation))
	e.POST("/v1/invitations/accept", o.who.RequirePerson(o.acceptInvitation))
}

func (o *organizationAPI) list(ctx echo.Context, p accounts.Principal) error {
	orgs, err := o.accounts.Orgs(ctx.Request().Context(), p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Organization]{Items: orgs})
}

func (o *organizationAPI) create(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.NewOrganization](ctx)
	if err != nil {
		return err
	}
	org, err := o.accounts.CreateOrganization(ctx.Request().Context(), who.Caller(ctx, p), body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusCreated, org)
}

func (o *organizationAPI) rename(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.OrganizationPatch](ctx)
	if err != nil {
		return err
	}
	org, err := o.accounts.RenameOrganization(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("org"), body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, org)
}

func (o *organizationAPI) listMembers(ctx echo.Context, p accounts.Principal) error {
	items, next, err := o.accounts.Members(ctx.Request().Context(), p, ctx.Param("org"), ctx.QueryParam("cursor"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Member]{Items: items, NextCursor: next})
}

func (o *organizationAPI) patchMember(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.MemberPatch](ctx)
	if err != nil {
		return err
	}
	m, err := o.accounts.ChangeRole(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("org"), ctx.Param("id"), body.Role)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, m)
}

func (o *organizationAPI) removeMember(ctx echo.Context, p accounts.Principal) error {
	removed, err := o.accounts.RemoveMember(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("org"), ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, removed)
}

func (o *organizationAPI) listInvitations(ctx echo.Context, p accounts.Principal) error {
	items, next, err := o.accounts.Invitations(ctx.Request().Context(), p, ctx.Param("org"), ctx.QueryParam("cursor"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Invitation]{Items: items, NextCursor: next})
}

func (o *organizationAPI) createInvitation(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.NewInvitation](ctx)
	if err != nil {
		return err
	}
	invitation, err := o.who.Invite(ctx, p, body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusCreated, invitation)
}

func (o *organizationAPI) withdrawInvitation(ctx echo.Context, p accounts.Principal) error {
	if err := o.accounts.Withdraw(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("org"), ctx.Param("id")); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

func (o *organizationAPI) acceptInvitation(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.AcceptInvitation](ctx)
	if err != nil {
		return err
	}
	org, err := o.joining.Accept(ctx.Request().Context(), who.Caller(ctx, p), body.Token.Secret)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, org)
}

func (o *organizationAPI) trust(ctx echo.Context, p accounts.Principal) error {
	t, err := o.accounts.ShowTrust(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("org"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, t)
}
