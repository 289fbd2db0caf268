package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
)

// routeSharing is the API of who uses a connection, and how much of it.
func (v *API) routeSharing(v1 *echo.Group) {
	v1.GET("/connections/:id/sharing", v.who.RequireScope("connection:read", v.getSharing))
	v1.POST("/connections/:id/sharing/presets", v.who.RequireScope("connection:share", v.refreshPresets))
	v1.PUT("/connections/:id/members/:user", v.who.RequireScope("connection:share", v.putMemberLimit))
	v1.DELETE("/connections/:id/members/:user", v.who.RequireScope("connection:share", v.deleteMemberLimit))
}

func (v *API) getSharing(ctx echo.Context, p accounts.Principal) error {
	sharing, err := v.connections.Sharing(ctx.Request().Context(), p, ctx.Param("id"), ctx.QueryParam("cursor"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, sharing)
}

func (v *API) refreshPresets(ctx echo.Context, p accounts.Principal) error {
	if err := v.servers.ReadPresets(ctx.Request().Context(), p, ctx.Param("id")); err != nil {
		return err
	}
	return v.getSharing(ctx, p)
}

func (v *API) putMemberLimit(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.MemberLimit](ctx)
	if err != nil {
		return err
	}
	member, err := v.servers.LimitMember(ctx, p, ctx.Param("id"), ctx.Param("user"), body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, member)
}

func (v *API) deleteMemberLimit(ctx echo.Context, p accounts.Principal) error {
	member, err := v.servers.UnlimitMember(ctx, p, ctx.Param("id"), ctx.Param("user"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, member)
}
