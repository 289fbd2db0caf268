package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/who"
)

// Mount mounts the JSON API.
func (v *API) Mount(e *echo.Echo) {
	v1 := e.Group("/v1")
	v1.GET("/me", v.who.RequireCaller(v.me))
	v.routeSessions(v1)
	v1.GET("/organizations", v.who.RequireScope("organization:read", v.organizations))
	v1.GET("/organizations/:org/trust", v.who.RequireScope("organization:trust", v.trust))
	v1.POST("/developer-tokens", v.who.RequirePerson(v.createDeveloperToken))
	v1.POST("/connections", v.who.RequireScope("connection:create", v.registerConnection))
	v1.GET("/connections", v.who.RequireScope("connection:read", v.listConnections))
	v1.GET("/connections/:id", v.who.RequireScope("connection:read", v.getConnection))
	v1.PATCH("/connections/:id", v.who.RequireScope("connection:update", v.patchConnection))
	v1.DELETE("/connections/:id", v.who.RequireScope("connection:delete", v.deleteConnection))
	v1.POST("/connections/:id/credential", v.who.RequireScope("connection:use", v.credential))
	v1.GET("/connections/:id/history", v.who.RequireScope("connection:read", v.connectionHistory))
	v1.GET("/connections/:id/uses", v.who.RequireScope("connection:read", v.connectionUses))
	v1.POST("/connections/:id/check", v.who.RequireScope("connection:read", v.checkConnection))
	v.routeSharing(v1)
	v.routeEnds(v1)
	v1.GET("/revocations", v.who.RequireScope("connection:read", v.undelivered))
	v1.DELETE("/revocations/:id", v.who.RequireScope("connection:delete", v.confirmRevocation))
	v1.GET("/scopes", v.who.RequireCaller(v.scopes))
	v.keyHandlers().Routes(e, "/v1/api-keys")
	v1.DELETE("/api-keys/:id", v.keyHandlers().Revoke)
	v.routeOrgs(v1)
	v1.GET("/audit", v.who.RequireScope("audit:read", v.audit))
	v1.GET("/audit/export", v.who.RequireScope("audit:read", v.exportAudit))
	v1.RouteNotFound("/*", func(echo.Context) error { return echo.NewHTTPError(http.StatusNotFound) })
}

func (v *API) me(ctx echo.Context, p accounts.Principal) error {
	me := api.Me{ID: p.UserID, Email: p.Email, Name: p.Name, Org: p.Org, OrgID: p.OrgID, Role: string(p.Role), KeyID: who.KeyID(p),
		Method: p.Method, Scopes: p.Scopes().Strings()}
	if p.Method == accounts.MethodAPIKey {
		me.Email = ""
	} else if p.UserID != "" {
		account, err := v.accounts.Account(ctx.Request().Context(), p.UserID)
		if err != nil {
			return err
		}
		me.Country, me.Currency = account.Country, account.Currency
	}
	if !p.ExpiresAt.IsZero() {
		me.ExpiresAt = new(p.ExpiresAt.UTC())
	}
	return ctx.JSON(http.StatusOK, me)
}

func (v *API) organizations(ctx echo.Context, p accounts.Principal) error {
	orgs, err := v.accounts.Orgs(ctx.Request().Context(), p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Organization]{Items: orgs})
}

func (v *API) trust(ctx echo.Context, p accounts.Principal) error {
	t, err := v.accounts.ShowTrust(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("org"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, t)
}

// createDeveloperToken serves signed-in people only: a developer token must not mint the next one for ever.
func (v *API) createDeveloperToken(ctx echo.Context, p accounts.Principal) error {
	if p.Method == accounts.MethodDeveloper {
		return bridge.E(bridge.Forbidden, bridge.CodeDeveloperTokenChain, "a developer token cannot mint another one").
			WithHint("sign in to the dashboard, or run: ace login")
	}
	token, err := v.who.DeveloperToken(ctx, p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusCreated, token)
}

func (v *API) registerConnection(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.RegisterRequest](ctx)
	if err != nil {
		return err
	}
	connection, created, err := v.connections.Register(ctx.Request().Context(), who.Caller(ctx, p), body)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return ctx.JSON(status, connection)
}

func (v *API) listConnections(ctx echo.Context, p accounts.Principal) error {
	items, next, err := v.connections.Connections(ctx.Request().Context(), p, ctx.QueryParam("cursor"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Connection]{Items: items, NextCursor: next})
}

func (v *API) getConnection(ctx echo.Context, p accounts.Principal) error {
	connection, err := v.connections.Connection(ctx.Request().Context(), p, ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, connection)
}

func (v *API) patchConnection(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.ConnectionPatch](ctx)
	if err != nil {
		return err
	}
	connection, err := v.servers.ChangeConnectionTo(ctx, p, ctx.Param("id"), body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, connection)
}

func (v *API) deleteConnection(ctx echo.Context, p accounts.Principal) error {
	removed, err := v.servers.Disconnect(ctx, p, ctx.Param("id"),
		connections.AsItWas{KeyID: ctx.QueryParam("key_id"), Revision: ctx.QueryParam("revision")})
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, removed)
}

func (v *API) credential(ctx echo.Context, p accounts.Principal) error {
	if ctx.QueryParam("keep") == "true" {
		if err := v.connections.Keep(ctx.Request().Context(), p, ctx.Param("id")); err != nil {
			return err
		}
	}
	credential, err := v.accessTokens.Credential(ctx.Request().Context(), p, ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, credential)
}

func (v *API) checkConnection(ctx echo.Context, p accounts.Principal) error {
	connection, err := v.servers.Check(ctx.Request().Context(), p, ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, connection)
}

func (v *API) undelivered(ctx echo.Context, p accounts.Principal) error {
	items, err := v.upkeep.Undelivered(ctx.Request().Context(), p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Undelivered]{Items: items})
}

func (v *API) confirmRevocation(ctx echo.Context, p accounts.Principal) error {
	if err := v.upkeep.ConfirmRevocation(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("id")); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}
