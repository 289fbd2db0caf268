package cloud

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
)

// mountAPI mounts the JSON API.
func (c *Cloud) mountAPI(e *echo.Echo) {
	v1 := e.Group("/v1")
	v1.GET("/me", c.member(c.me))
	c.routeSessions(v1)
	v1.GET("/organizations", c.may("organization:read", c.organizations))
	v1.GET("/organizations/:org/trust", c.may("organization:trust", c.trust))
	v1.POST("/developer-tokens", c.person(c.createDeveloperToken))
	v1.POST("/connections", c.may("connection:create", c.registerConnection))
	v1.GET("/connections", c.may("connection:read", c.listConnections))
	v1.GET("/connections/:id", c.may("connection:read", c.getConnection))
	v1.PATCH("/connections/:id", c.may("connection:update", c.patchConnection))
	v1.DELETE("/connections/:id", c.may("connection:delete", c.deleteConnection))
	v1.POST("/connections/:id/credential", c.may("connection:use", c.credential))
	v1.GET("/connections/:id/history", c.may("connection:read", c.connectionHistory))
	v1.GET("/connections/:id/uses", c.may("connection:read", c.connectionUses))
	v1.POST("/connections/:id/check", c.may("connection:read", c.checkConnection))
	c.routeSharing(v1)
	c.routeEnds(v1)
	v1.GET("/revocations", c.may("connection:read", c.undelivered))
	v1.DELETE("/revocations/:id", c.may("connection:delete", c.confirmRevocation))
	v1.GET("/scopes", c.member(c.scopes))
	c.keyHandlers().Routes(e, "/v1/api-keys")
	v1.DELETE("/api-keys/:id", c.keyHandlers().Revoke)
	c.routeOrgs(v1)
	v1.GET("/audit", c.may("audit:read", c.audit))
	v1.GET("/audit/export", c.may("audit:read", c.exportAudit))
	v1.RouteNotFound("/*", func(echo.Context) error { return echo.NewHTTPError(http.StatusNotFound) })
}

func (c *Cloud) me(ctx echo.Context, p accounts.Principal) error {
	me := api.Me{ID: p.UserID, Email: p.Email, Name: p.Name, Org: p.Org, OrgID: p.OrgID, Role: string(p.Role), KeyID: keyID(p),
		Method: p.Method, Scopes: p.Scopes().Strings()}
	if p.Method == accounts.MethodAPIKey {
		me.Email = ""
	} else if p.UserID != "" {
		account, err := c.registry.Accounts.Account(ctx.Request().Context(), p.UserID)
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

func (c *Cloud) organizations(ctx echo.Context, p accounts.Principal) error {
	orgs, err := c.registry.Accounts.Orgs(ctx.Request().Context(), p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Organization]{Items: orgs})
}

func (c *Cloud) trust(ctx echo.Context, p accounts.Principal) error {
	t, err := c.registry.Upkeep.Trust(p, ctx.Param("org"))
	if err != nil {
		return err
	}
	if err := c.registry.Upkeep.Note(ctx.Request().Context(), actor(ctx, p), "trust.show", "organization:"+p.Org, nil); err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, t)
}

// developerToken opens a session of three hours and signs its token.
func (c *Cloud) developerToken(ctx echo.Context, p accounts.Principal) (api.DeveloperToken, error) {
	s, err := c.registry.Sessions.OpenSessionFrom(ctx.Request().Context(), caller(ctx, p), accounts.MethodDeveloper)
	if err != nil {
		return api.DeveloperToken{}, err
	}
	token, err := c.sessionToken(s.Principal, accounts.DeveloperLife)
	return api.DeveloperToken{Token: token.Disclose(), ExpiresAt: s.Principal.ExpiresAt.UTC()}, err
}

// createDeveloperToken serves signed-in people only: a developer token must not mint the next one for ever.
func (c *Cloud) createDeveloperToken(ctx echo.Context, p accounts.Principal) error {
	if p.Method == accounts.MethodDeveloper {
		return bridge.E(bridge.Forbidden, bridge.CodeDeveloperTokenChain, "a developer token cannot mint another one").
			WithHint("sign in to the dashboard, or run: ace login")
	}
	token, err := c.developerToken(ctx, p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusCreated, token)
}

func (c *Cloud) registerConnection(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.RegisterRequest](ctx)
	if err != nil {
		return err
	}
	connection, created, err := c.registry.Connections.Register(ctx.Request().Context(), caller(ctx, p), body)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return ctx.JSON(status, connection)
}

func (c *Cloud) listConnections(ctx echo.Context, p accounts.Principal) error {
	items, next, err := c.registry.Connections.Connections(ctx.Request().Context(), p, ctx.QueryParam("cursor"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Connection]{Items: items, NextCursor: next})
}

func (c *Cloud) getConnection(ctx echo.Context, p accounts.Principal) error {
	connection, err := c.registry.Connections.Connection(ctx.Request().Context(), p, ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, connection)
}

func (c *Cloud) patchConnection(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.ConnectionPatch](ctx)
	if err != nil {
		return err
	}
	connection, err := c.changeConnectionTo(ctx, p, ctx.Param("id"), body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, connection)
}

func (c *Cloud) deleteConnection(ctx echo.Context, p accounts.Principal) error {
	removed, err := c.disconnect(ctx, p, ctx.Param("id"),
		connections.AsItWas{KeyID: ctx.QueryParam("key_id"), Revision: ctx.QueryParam("revision")})
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, removed)
}

func (c *Cloud) credential(ctx echo.Context, p accounts.Principal) error {
	if ctx.QueryParam("keep") == "true" {
		if err := c.registry.Connections.Keep(ctx.Request().Context(), p, ctx.Param("id")); err != nil {
			return err
		}
	}
	credential, err := c.registry.Tokens.Credential(ctx.Request().Context(), p, ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, credential)
}

func (c *Cloud) checkConnection(ctx echo.Context, p accounts.Principal) error {
	connection, err := c.check(ctx.Request().Context(), p, ctx.Param("id"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, connection)
}

func (c *Cloud) undelivered(ctx echo.Context, p accounts.Principal) error {
	items, err := c.registry.Upkeep.Undelivered(ctx.Request().Context(), p)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.Undelivered]{Items: items})
}

func (c *Cloud) confirmRevocation(ctx echo.Context, p accounts.Principal) error {
	if err := c.registry.Upkeep.ConfirmRevocation(ctx.Request().Context(), caller(ctx, p), ctx.Param("id")); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}
