package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/who"
)

// sharingAPI answers who uses a connection and how much of it, and sets the limits of members.
type sharingAPI struct {
	who         *who.Finder
	connections *connections.Store
	servers     *servers.Servers
}

func (s *sharingAPI) mount(e *echo.Echo) {
	e.GET("/v1/connections/:id/sharing", s.who.RequireScope("connection:read", s.get))
	e.POST("/v1/connections/:id/sharing/presets", s.who.RequireScope("connection:share", s.refreshPresets))
	e.PUT("/v1/connections/:id/members/:user", s.who.RequireScope("connection:share", s.putLimit))
	e.DELETE("/v1/connections/:id/members/:user", s.who.RequireScope("connection:share", s.deleteLimit))
}

func (s *sharingAPI) get(ctx echo.Context, p accounts.Principal) error {
	sharing, err := s.connections.Sharing(ctx.Request().Context(), p, ctx.Param("id"), ctx.QueryParam("cursor"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, sharing)
}

func (s *sharingAPI) refreshPresets(ctx echo.Context, p accounts.Principal) error {
	if err := s.servers.ReadPresets(ctx.Request().Context(), p, ctx.Param("id")); err != nil {
		return err
	}
	return s.get(ctx, p)
}

func (s *sharingAPI) putLimit(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.MemberLimit](ctx)
	if err != nil {
		return err
	}
	member, err := s.servers.LimitMember(ctx, p, ctx.Param("id"), ctx.Param("user"), body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, member)
}

func (s *sharingAPI) deleteLimit(ctx echo.Context, p accounts.Principal) error {
	member, err := s.servers.UnlimitMember(ctx, p, ctx.Param("id"), ctx.Param("user"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, member)
}
