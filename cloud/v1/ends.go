package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/preview"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/who"
)

// endsAPI previews what a change would end. Each preview requires the same rights as the change.
type endsAPI struct {
	who     *who.Finder
	servers *servers.Servers
	preview *preview.Preview
}

func (n *endsAPI) mount(e *echo.Echo) {
	e.GET("/v1/connections/:id/ends", n.who.RequireScope("connection:read", answerEnds(n.ofConnection)))
	e.GET("/v1/connections/:id/members/:user/ends", n.who.RequireScope("connection:share", answerEnds(n.ofLimit)))
	e.GET("/v1/organizations/:org/members/:id/ends", n.who.RequireCaller(answerEnds(n.ofMember)))
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

// ofConnection previews a disconnect or, if the query names one, another visibility or ceiling.
func (n *endsAPI) ofConnection(ctx echo.Context, p accounts.Principal) (api.Ends, error) {
	var patch api.ConnectionPatch
	if visibility := ctx.QueryParam("visibility"); visibility != "" {
		patch.Visibility = &visibility
	}
	if to := servers.CeilingOf(ctx); to.Preset != "" || len(to.Scopes) > 0 {
		patch.Ceiling = api.CeilingPatch{Given: true, To: &to}
	}
	if patch.Visibility == nil && !patch.Ceiling.Given {
		return n.servers.EndsOfDisconnect(ctx, p, ctx.Param("id"))
	}
	return n.servers.EndsOfPatch(ctx, p, ctx.Param("id"), patch)
}

func (n *endsAPI) ofLimit(ctx echo.Context, p accounts.Principal) (api.Ends, error) {
	found, err := n.servers.FoundOfLimit(ctx, p, ctx.Param("id"), ctx.Param("user"), api.MemberLimit{Access: ctx.QueryParam("access"), Ceiling: servers.CeilingOf(ctx)})
	return n.servers.EndsWithServers(ctx, p, found, err)
}

// ofMember previews the removal of a member or, with a role, giving them that role.
func (n *endsAPI) ofMember(ctx echo.Context, p accounts.Principal) (api.Ends, error) {
	found, err := n.preview.EndsOfMember(ctx.Request().Context(), p, ctx.Param("org"), ctx.Param("id"), ctx.QueryParam("role"), n.servers.KeyAlive)
	return n.servers.EndsWithServers(ctx, p, found, err)
}
