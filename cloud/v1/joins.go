package v1

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/joins"
	"github.com/acebridge/ace/cloud/who"
)

// joinAPI makes join tokens for admins, and answers the servers that join with them.
type joinAPI struct {
	who     *who.Finder
	joins   *joins.Store
	joiners *api.Limiter
}

func (j *joinAPI) mount(e *echo.Echo) {
	e.POST("/v1/join-tokens", j.who.RequireScope("connection:manage", j.create))
	e.GET("/v1/join-tokens", j.who.RequireScope("connection:manage", j.list))
	e.DELETE("/v1/join-tokens/:id", j.who.RequireScope("connection:manage", j.revoke))
	e.POST(api.PathJoin, j.begin)
	e.POST(api.PathJoinDone, j.complete)
}

func (j *joinAPI) create(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.JoinTokenRequest](ctx)
	if err != nil {
		return err
	}
	token, err := j.joins.CreateToken(ctx.Request().Context(), who.Caller(ctx, p), body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusCreated, token)
}

func (j *joinAPI) list(ctx echo.Context, p accounts.Principal) error {
	items, next, err := j.joins.Tokens(ctx.Request().Context(), p, ctx.QueryParam("cursor"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.JoinToken]{Items: items, NextCursor: next})
}

func (j *joinAPI) revoke(ctx echo.Context, p accounts.Principal) error {
	if err := j.joins.RevokeToken(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("id")); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

// joiner returns the join token of a server's request. Tries are limited per address, and overall.
func (j *joinAPI) joiner(ctx echo.Context) (bridge.Secret, error) {
	ctx.Response().Header().Set("Cache-Control", "no-store")
	if err := j.joiners.Allow(bridge.AddressKey(ctx.RealIP())); err != nil {
		return bridge.Secret{}, err
	}
	presented, err := bridge.Credential(ctx.Request().Header)
	if err == nil && presented.Value.IsZero() {
		err = bridge.E(bridge.Unauthenticated, bridge.CodeNotSignedIn, "a server joins with a join token").
			WithHint("make one: ace org join-token create")
	}
	return presented.Value, err
}

// begin counts a use of the token for the server, and answers with a connect token.
func (j *joinAPI) begin(ctx echo.Context) error {
	token, err := j.joiner(ctx)
	if err != nil {
		return err
	}
	body, err := api.Decode[api.JoinRequest](ctx)
	if err != nil {
		return err
	}
	answer, err := j.joins.Begin(ctx.Request().Context(), token, body, who.Anonymous(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, answer)
}

// complete registers the server's connection.
func (j *joinAPI) complete(ctx echo.Context) error {
	token, err := j.joiner(ctx)
	if err != nil {
		return err
	}
	body, err := api.Decode[api.JoinComplete](ctx)
	if err != nil {
		return err
	}
	connection, err := j.joins.Complete(ctx.Request().Context(), token, body, who.Anonymous(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, connection)
}
