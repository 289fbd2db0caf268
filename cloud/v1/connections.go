package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/tokens"
	"github.com/acebridge/ace/cloud/upkeep"
	"github.com/acebridge/ace/cloud/who"
)

// connectionAPI answers for connections: their life, their credentials, their history, and revocations not yet delivered.
type connectionAPI struct {
	who         *who.Finder
	connections *connections.Store
	history     *connections.History
	tokens      *tokens.Tokens
	upkeep      *upkeep.Upkeep
	servers     *servers.Servers
}

func (c *connectionAPI) mount(e *echo.Echo) {
	e.POST("/v1/connections", c.who.RequireScope("connection:create", c.register))
	e.GET("/v1/connections", c.who.RequireScope("connection:read", c.list))
	e.GET("/v1/connections/:id", c.who.RequireScope("connection:read", c.get))
	e.PATCH("/v1/connections/:id", c.who.RequireScope("connection:update", c.patch))
	e.DELETE("/v1/connections/:id", c.who.RequireScope("connection:delete", c.disconnect))
	e.POST("/v1/connections/:id/credential", c.who.RequireScope("connection:use", c.credential))
	e.GET("/v1/connections/:id/history", c.who.RequireScope("connection:read", c.past))
	e.GET("/v1/connections/:id/uses", c.who.RequireScope("connection:read", c.uses))
	e.POST("/v1/connections/:id/check", c.who.RequireScope("connection:read", c.check))
	e.GET("/v1/revocations", c.who.RequireScope("connection:read", c.undelivered))
	e.DELETE("/v1/revocations/:id", c.who.RequireScope("connection:delete", c.confirmRevocation))
}

func (c *connectionAPI) register(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.RegisterRequest](ctx)
	if err != nil {
		return err
	}
	connection, created, err := c.connections.Register(ctx.Request().Context(), who.Caller(ctx, p), body)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return ctx.JSON(status, connection)
}

func (c *connectionAPI) list(ctx echo.Context, p accounts.Principal) error {
	items, next, err := c.connections.Connections(ctx.Request().Context(), p, ctx.QueryParam("cursor"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Connection]{Items: items, NextCursor: next})
}

func (c *connectionAPI) get(ctx echo.Context, p accounts.Principal) error {
	connection, err := c.connections.Connection(ctx.Request().Context(), p, ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, connection)
}

func (c *connectionAPI) patch(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.ConnectionPatch](ctx)
	if err != nil {
		return err
	}
	connection, err := c.servers.ChangeConnectionTo(ctx, p, ctx.Param("id"), body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, connection)
}

func (c *connectionAPI) disconnect(ctx echo.Context, p accounts.Principal) error {
	removed, err := c.servers.Disconnect(ctx, p, ctx.Param("id"),
		connections.AsItWas{KeyID: ctx.QueryParam("key_id"), Revision: ctx.QueryParam("revision")})
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, removed)
}

func (c *connectionAPI) credential(ctx echo.Context, p accounts.Principal) error {
	if ctx.QueryParam("keep") == "true" {
		if err := c.connections.Keep(ctx.Request().Context(), p, ctx.Param("id")); err != nil {
			return err
		}
	}
	credential, err := c.tokens.Credential(ctx.Request().Context(), p, ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, credential)
}

func (c *connectionAPI) check(ctx echo.Context, p accounts.Principal) error {
	connection, err := c.servers.Check(ctx.Request().Context(), p, ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, connection)
}

func (c *connectionAPI) past(ctx echo.Context, p accounts.Principal) error {
	history, err := c.history.Of(ctx.Request().Context(), p, ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, history)
}

func (c *connectionAPI) uses(ctx echo.Context, p accounts.Principal) error {
	uses, err := c.history.MemberUses(ctx.Request().Context(), p, ctx.Param("id"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.MemberUse]{Items: uses})
}

func (c *connectionAPI) undelivered(ctx echo.Context, p accounts.Principal) error {
	items, err := c.upkeep.Undelivered(ctx.Request().Context(), p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Undelivered]{Items: items})
}

func (c *connectionAPI) confirmRevocation(ctx echo.Context, p accounts.Principal) error {
	if err := c.upkeep.ConfirmRevocation(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("id")); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}
