package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/servers"
)

// routeEnds mounts the previews of what a change would end. Each requires the same rights as the change.
func (v *API) routeEnds(v1 *echo.Group) {
	v1.GET("/connections/:id/ends", v.who.RequireScope("connection:read", answerEnds(v.endsOfConnection)))
	v1.GET("/connections/:id/members/:user/ends", v.who.RequireScope("connection:share", answerEnds(v.endsOfLimit)))
	v1.GET("/organizations/:org/members/:id/ends", v.who.RequireCaller(answerEnds(v.endsOfMember)))
}

func answerEnds(find func(echo.Context, accounts.Principal) (api.Ends, error)) func(echo.Context, accounts.Principal) error {
	return func(ctx echo.Context, p accounts.Principal) error {
		out, err := find(ctx, p)
		if err != nil {
			return err
		}
		return ctx.JSON(http.StatusOK, out)
	}
}

// endsOfConnection previews a disconnect or, if the query names one, another visibility or ceiling.
func (v *API) endsOfConnection(ctx echo.Context, p accounts.Principal) (api.Ends, error) {
	var patch api.ConnectionPatch
	if visibility := ctx.QueryParam("visibility"); visibility != "" {
		patch.Visibility = &visibility
	}
	if to := servers.CeilingOf(ctx); to.Preset != "" || len(to.Scopes) > 0 {
		patch.Ceiling = api.CeilingPatch{Given: true, To: &to}
	}
	if patch.Visibility == nil && !patch.Ceiling.Given {
		return v.servers.EndsOfDisconnect(ctx, p, ctx.Param("id"))
	}
	return v.servers.EndsOfPatch(ctx, p, ctx.Param("id"), patch)
}

func (v *API) endsOfLimit(ctx echo.Context, p accounts.Principal) (api.Ends, error) {
	found, err := v.servers.FoundOfLimit(ctx, p, ctx.Param("id"), ctx.Param("user"), api.MemberLimit{Access: ctx.QueryParam("access"), Ceiling: servers.CeilingOf(ctx)})
	return v.servers.EndsWithServers(ctx, p, found, err)
}

// endsOfMember previews the removal of a member or, with a role, giving them that role.
func (v *API) endsOfMember(ctx echo.Context, p accounts.Principal) (api.Ends, error) {
	found, err := v.preview.EndsOfMember(ctx.Request().Context(), p, ctx.Param("org"), ctx.Param("id"), ctx.QueryParam("role"), v.servers.KeyAlive)
	return v.servers.EndsWithServers(ctx, p, found, err)
}
